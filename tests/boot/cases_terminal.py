"""The terminal as console: keys of our own, raw mode, and everything put back at the end."""
import signal
import termios

from case import SHELL_PROMPT, case, check, check_equal

LOCAL_FLAGS = 3


def terminal_intact(guest):
    check_equal(guest.attributes(), guest.attributes_before, "the terminal's attributes afterwards")


@case("terminal", fast=True)
def terminal(context):
    """Raw while the machine runs, editing works, Ctrl-A H explains, Ctrl-A X quits."""
    guest = context.boot_to_shell(flavour="cloud")
    flags = guest.attributes()[LOCAL_FLAGS]
    check(not flags & (termios.ICANON | termios.ECHO | termios.ISIG), "the terminal is not raw")
    # Ctrl-C belongs to the guest.
    guest.send('echo "start"ed; sleep 1000\n')
    guest.expect(r"\nstarted")
    guest.send("\x03")
    guest.expect(SHELL_PROMPT)
    # Line editing: Ctrl-A twice is one Ctrl-A, to the start of the line.
    guest.send("cho edited-$((6*7))\x01\x01e\n")
    guest.expect(r"\nedited-42")
    guest.send("\x01h")
    guest.expect(r"(?i)(ctrl-a|c-a|\^a)[^\n]*x")
    guest.command("true")
    guest.send("\x01x")
    status = guest.wait()
    check(status == 0, f"status after Ctrl-A X: {status}")
    terminal_intact(guest)


@case("terminal-after-power-off")
def after_power_off(context):
    guest = context.boot_to_shell(flavour="cloud")
    context.power_off(guest)
    terminal_intact(guest)


@case("terminal-after-signal", fast=True)
def after_signal(context):
    """A program that is told to end puts the terminal back first."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        guest = context.start(context.spec(flavour="cloud"))
        guest.expect(r"Linux version|Command line")
        guest.process.send_signal(number)
        guest.wait(60)
        terminal_intact(guest)


@case("terminal-after-bad-option", own=True, fast=True)
def after_bad_option(context):
    guest = context.start_command([context.emulator.program, "run", "--no-such-option"])
    check_equal(guest.wait(60), 1, "status after an unknown option")
    terminal_intact(guest)
