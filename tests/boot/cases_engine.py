"""A running machine moves from one engine to another while its processors compute, keep time, and check
what they get."""
import os
import random
import subprocess
import time

from case import case, check, check_equal
from cases_disk import log_in
from console import load_factor

PATIENCE = 60
# Pipes, forks, hashes (integers), awk's doubles: each round must come out as the first one did. The
# clock must never go back. Every round and everything wrong is counted in a file.
SELF_CHECK = """cat > /tmp/check <<'END'
round() {
    seq 1 3000 | sha256sum
    awk 'BEGIN { for (i = 1; i < 3000; ++i) x = x * 0.99 + i / 7 - i % 11 / 3; printf "%.12f", x }'
}
first=$(round)
while :; do
    [ "$(round)" = "$first" ] || echo wrong >> /tmp/wrong
    echo >> /tmp/rounds.$1
done
END
cat > /tmp/ticks <<'END'
last=0
while :; do
    sleep 0.02 2>/dev/null || usleep 20000
    read now rest < /proc/uptime
    now=$(echo $now | tr -d .)
    [ $now -ge $last ] || echo back >> /tmp/wrong
    last=$now
    echo >> /tmp/rounds.$1
done
END
: > /tmp/wrong
for i in 0 1 2; do sh /tmp/check $i & done
sh /tmp/ticks ticks & true"""
LOOPS = ("0", "1", "2", "ticks")


class Mover:
    """Asks a machine for its engine by name, as a person would."""

    def __init__(self, context):
        self.name = f"engine-{os.getpid()}-{random.randrange(1 << 30):x}"
        self.program = str(context.emulator.program)

    def mynah(self, *words):
        answer = subprocess.run([self.program, "engine", self.name, *words], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=PATIENCE * load_factor())
        return answer.returncode, answer.stdout.strip()

    def move_to(self, engine):
        check_equal(self.mynah(engine), (0, ""), f"mynah engine NAME {engine}")
        check_equal(self.mynah(), (0, engine), "mynah engine NAME")


def rounds(guest):
    text = guest.command("for i in " + " ".join(LOOPS) + "; do wc -l < /tmp/rounds.$i; done",
                         quiet=120)
    return [int(line) for line in text.split()]


def progresses(guest, where):
    """All of the guest's loops go on: those that compute, and the one that waits for timers."""
    before = rounds(guest)
    limit = time.monotonic() + PATIENCE * load_factor()
    while not all(now > then for now, then in zip(rounds(guest), before)):
        check(time.monotonic() < limit, f"{where}: a loop stands still: {before}, {rounds(guest)}")
        time.sleep(0.2)


def moves_and_checks(guest, mover, times):
    for line in SELF_CHECK.split("\n"):
        guest.send(line + "\n")
    guest.command("true")
    guest.command("for i in " + " ".join(LOOPS) + "; do until [ -e /tmp/rounds.$i ]; do "
                  "sleep 1; done; done", quiet=300)
    for turn in range(times):
        for engine in ("interpreter", "jit"):
            mover.move_to(engine)
            progresses(guest, f"move {turn} to the {engine}")
    # Faster than anything in the guest settles.
    for turn in range(4 * times):
        mover.move_to(("interpreter", "jit")[turn % 2])
    progresses(guest, "after many moves")
    check_equal(guest.command("cat /tmp/wrong"), "", "what the guest found wrong")
    status, text = mover.mynah("steam")
    check(status == 1 and "expected jit, interpreter" in text, text)


@case("engine-moves", own=True, fast=True)
def moves(context):
    """Translator to interpreter and back, two processors under load."""
    mover = Mover(context)
    guest = context.boot_to_shell(vcpus=2, more=("--name", mover.name))
    moves_and_checks(guest, mover, 1)
    check_equal(guest.command("dmesg | grep -cE 'detected stall|soft lockup|Oops' || true"), "0",
                "complaints of the kernel")
    context.power_off(guest)


@case("engine-moves-debian", own=True)
def moves_debian(context):
    """The same in Debian with systemd, a disk and a network, many times."""
    mover = Mover(context)
    root = context.debian_disk()
    guest = context.start(context.spec(flavour="cloud", disks=(root,), vcpus=2, memory="1G",
                                       cmdline="console=ttyS0 root=/dev/vda",
                                       more=("--name", mover.name)))
    log_in(guest)
    moves_and_checks(guest, mover, 5)
    guest.command("rm -f /tmp/rounds.*; dd if=/dev/urandom of=/var/tmp/a bs=1M count=32; "
                  "sha256sum < /var/tmp/a > /tmp/a.sum", quiet=300)
    mover.move_to("interpreter")
    guest.command("sync; echo 3 > /proc/sys/vm/drop_caches; "
                  "[ \"$(sha256sum < /var/tmp/a)\" = \"$(cat /tmp/a.sum)\" ]", quiet=600)
    mover.move_to("jit")
    check_equal(guest.command("dmesg | grep -cE 'detected stall|soft lockup|Oops' || true"), "0",
                "complaints of the kernel")
    guest.send("poweroff\n")
    check_equal(guest.wait(900), 0, "status after the guest powered off")
