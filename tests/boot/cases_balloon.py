"""The memory balloon: what the guest gives up, the host has again."""
import contextlib
import json
import socket
import time

from case import SHELL_PROMPT, case, check
from console import load_factor
from modules import with_modules

MIB = 1 << 20


class Qmp:
    """The machine's control socket."""

    def __init__(self, directory, name):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(directory / "mynah" / name / "control"))
        self._stream = self._socket.makefile("rw")
        self._stream.readline()
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        answer = json.loads(self._stream.readline())
        check("return" in answer, f"{command}: {answer}")
        return answer["return"]

    def close(self):
        self._stream.close()
        self._socket.close()


def resident(guest):
    """MiB of guest memory that the program holds."""
    with open(f"/proc/{guest.process.pid}/status") as status:
        for line in status:
            if line.startswith("RssShmem:"):
                return int(line.split()[1]) >> 10
    return 0


def wait_until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds * load_factor()
    while not condition():
        check(time.monotonic() < deadline, f"{what} in {seconds} s")
        time.sleep(0.1)


def start(context, balloon, board=()):
    words = context.emulator.command(context.spec(
        initrd=with_modules(context, "stock", ("virtio_balloon",)),
        more=("--name", "balloon", "--memballoon", balloon, *board)))
    guest = context.start_command(["env", f"XDG_RUNTIME_DIR={context.directory}", *words])
    guest.expect(SHELL_PROMPT)
    guest.command("dmesg -n 1; sh /etc/modules-load")
    return guest


def use_and_free(guest, mebibytes=230):
    """Touch so much memory, and give it back to the guest's kernel."""
    guest.command(f"dd if=/dev/urandom of=/tmp/f bs=1M count={mebibytes} 2>/dev/null; rm /tmp/f",
                  quiet=600)


def inflate(context, board):
    guest = start(context, "virtio", board)
    with contextlib.closing(Qmp(context.directory, "balloon")) as qmp:
        use_and_free(guest)
        before = resident(guest)
        check(before > 230, f"the guest uses only {before} MiB")
        qmp.execute("balloon", value=160 * MIB)
        wait_until(lambda: qmp.execute("query-balloon")["actual"] == 160 * MIB,
                   "the balloon did not come to its size")
        after = resident(guest)
        check(after < 200, f"{after} MiB are resident with a guest of 160 MiB, {before} before")
        total = int(guest.command("sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo"))
        check(total < 200 << 10, f"the guest sees {total} KiB")
        qmp.execute("x-query-balloon-statistics")

        def told():
            stats = qmp.execute("x-query-balloon-statistics")["stats"]
            return 0 < stats.get("stat-free-memory", 0) < 200 * MIB
        wait_until(told, "the guest told no statistics that fit")
        # And back: the memory is memory again.
        qmp.execute("balloon", value=512 * MIB)
        wait_until(lambda: qmp.execute("query-balloon")["actual"] == 512 * MIB,
                   "the balloon did not deflate")
        guest.command("dd if=/dev/urandom of=/tmp/f bs=1M count=100 2>/dev/null", quiet=600)
        sums = guest.command("cp /tmp/f /tmp/g; sha256sum </tmp/f; sha256sum </tmp/g", quiet=600)
        check(len(set(sums.split("\n"))) == 1, f"memory does not keep what is in it: {sums}")
    context.power_off(guest)


@case("balloon", fast=True, own=True)
def balloon(context):
    """Inflate, look at the program's memory, deflate; statistics."""
    inflate(context, ())


@case("balloon-pc", own=True)
def balloon_pc(context):
    inflate(context, ("--machine", "pc"))


@case("balloon-free-pages", own=True)
def free_pages(context):
    """Pages that the guest frees go back: by reports all the time, and by hints when asked."""
    for option in ("virtio,free-page-reporting=on", "virtio"):
        guest = start(context, option)
        with contextlib.closing(Qmp(context.directory, "balloon")) as qmp:
            use_and_free(guest)
            if option == "virtio":
                before = resident(guest)
                check(before > 230, f"the guest uses only {before} MiB")
                qmp.execute("x-balloon-free-pages")
            wait_until(lambda: resident(guest) < 170, f"{option}: free pages did not go back")
            check(qmp.execute("query-balloon")["actual"] == 512 * MIB, "the balloon is not empty")
            sums = guest.command("dd if=/dev/urandom of=/tmp/f bs=1M count=100 2>/dev/null; cp /tmp/f "
                                 "/tmp/g; sha256sum </tmp/f; sha256sum </tmp/g", quiet=600)
            check(len(set(sums.split("\n"))) == 1, f"memory does not keep what is in it: {sums}")
        context.power_off(guest)


@case("balloon-out-of-memory", own=True)
def out_of_memory(context):
    """A guest that runs out of memory takes pages back from the balloon."""
    guest = start(context, "virtio,deflate-on-oom=on")
    with contextlib.closing(Qmp(context.directory, "balloon")) as qmp:
        qmp.execute("balloon", value=128 * MIB)
        wait_until(lambda: qmp.execute("query-balloon")["actual"] <= 160 * MIB,
                   "the balloon did not come near its size")
        guest.command("dd if=/dev/urandom of=/tmp/f bs=1M count=200 2>/dev/null", quiet=600)
        check(qmp.execute("query-balloon")["actual"] > 200 * MIB, "the guest got no memory back")
    context.power_off(guest)
