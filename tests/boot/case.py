"""What a whole-machine test is, and what it is handed."""
import dataclasses
import pathlib
import shutil
import subprocess
import tempfile

import console
import machine
from guest import initrd, kernel, rootfs

SHELL_PROMPT = r"mynah:[^\r\n]*# "

CASES = {}


class Failed(AssertionError):
    """The machine did something else than it should."""


class Skipped(Exception):
    """The test cannot be run here; the text says why."""


@dataclasses.dataclass
class Case:
    name: str
    body: object
    fast: bool
    own: bool    # about our program itself, so no stand-in can pass it


def case(name, fast=False, own=False):
    """Register a test under `name`; `fast` ones run in scripts/test."""
    def register(body):
        assert name not in CASES, name
        CASES[name] = Case(name, body, fast, own)
        return body
    return register


def check(condition, text):
    if not condition:
        raise Failed(text)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: {got!r} instead of {wanted!r}")


class Context:
    """One test's machine, guest images and scratch directory."""

    def __init__(self, emulator, log):
        self.emulator = emulator
        self.log = pathlib.Path(log)
        self.log.unlink(missing_ok=True)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mynah-boot-"))
        self._consoles = []

    def close(self):
        for each in self._consoles:
            each.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def spec(self, flavour="stock", **fields):
        """A machine with Debian's kernel and the test initrd."""
        chosen = kernel.kernel(flavour)
        fields.setdefault("kernel", chosen.image)
        fields.setdefault("initrd", initrd.initrd(chosen).plain)
        return machine.Spec(**fields)

    def start(self, spec):
        return self.start_command(self.emulator.command(spec))

    def start_command(self, command):
        started = console.Console(command, log=self.log)
        self._consoles.append(started)
        return started

    def boot_to_shell(self, **fields):
        """Start and wait for the shell of the initrd. The kernel's log stays off from then on, or
        its lines would fall into answers."""
        guest = self.start(self.spec(**fields))
        guest.expect(SHELL_PROMPT)
        guest.command("dmesg -n 1")
        return guest

    def power_off(self, guest):
        guest.send("poweroff\n")
        status = guest.wait()
        check_equal(status, 0, "status after the guest powered off")

    def blank_disk(self, mebibytes, name="disk.img"):
        path = self.directory / name
        with open(path, "wb") as handle:
            handle.truncate(mebibytes << 20)
        return path

    def ext4_disk(self, mebibytes, name="disk.img"):
        path = self.blank_disk(mebibytes, name)
        run_tool("mke2fs", "-q", "-F", "-t", "ext4", path)
        return path

    def debian_disk(self, name="root.img", kind="rootfs"):
        return rootfs.copy(rootfs.rootfs(kind), self.directory / name)


def run_tool(*command):
    """Run a host program that must succeed; system directories are searched too."""
    program = shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/bin")
    if program is None:
        raise Skipped(f"{command[0]} is not installed")
    answer = subprocess.run([program, *map(str, command[1:])], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check(answer.returncode == 0, f"{command[0]}: status {answer.returncode}\n{answer.stdout}")
    return answer.stdout
