"""The watchdog: a guest that stops feeding it is reset, or what the operator said."""
from case import SHELL_PROMPT, case, check
from modules import with_modules


def start(context, action):
    guest = context.boot_to_shell(
        initrd=with_modules(context, "stock", ("i6300esb",)),
        more=("--machine", "pc", "--watchdog", f"i6300esb,action={action}"))
    guest.command("sh /etc/modules-load; ls /dev/watchdog")
    # Fed, the guest lives; then nobody feeds it.
    guest.command("watchdog -T 4 -t 1 /dev/watchdog; sleep 8", quiet=300)
    guest.send("kill -9 $(pidof watchdog); echo nobody; cat\n")
    guest.expect("nobody")
    return guest


@case("watchdog-reset", own=True)
def reset(context):
    guest = start(context, "reset")
    guest.expect(SHELL_PROMPT)
    guest.command("sh /etc/modules-load")
    context.power_off(guest)


@case("watchdog-power-off", own=True)
def power_off(context):
    guest = start(context, "poweroff")
    check(guest.wait() == 0, "status after the watchdog powered off")
