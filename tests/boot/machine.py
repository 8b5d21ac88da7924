"""Command lines of the machine under test: mynah, or another emulator that stands in for it."""
import dataclasses
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
MYNAH = ROOT / "build" / "release" / "bin" / "mynah"


@dataclasses.dataclass
class Spec:
    """A machine as a test wants it."""

    kernel: pathlib.Path = None
    initrd: pathlib.Path = None
    cmdline: str = "console=ttyS0"
    memory: str = "512M"
    vcpus: int = 1
    disks: tuple = ()
    more: tuple = ()        # further options, for mynah only


class Mynah:
    """The program this project builds."""

    name = "mynah"

    def __init__(self, program=None, accel=None):
        self.program = pathlib.Path(program or os.environ.get("MYNAH") or MYNAH).resolve()
        self.accel = accel

    def available(self):
        return os.access(self.program, os.X_OK)

    def command(self, spec):
        words = [self.program, "run", "--memory", spec.memory, "--vcpus", spec.vcpus]
        if self.accel:
            words += ["--accel", self.accel]
        for option, value in (("--kernel", spec.kernel), ("--initrd", spec.initrd),
                              ("--cmdline", spec.cmdline)):
            if value is not None:
                words += [option, value]
        for disk in spec.disks:
            words += ["--disk", f"path={disk}"]
        return [str(word) for word in (*words, *spec.more)]


class Qemu:
    """QEMU's translator: it says whether a test is right before there is anything of ours to test,
    and it is the peer in benchmarks. The machine is q35 because kernels on QEMU's microvm calibrate
    their clock against the PIT alone and hang when the host is loaded."""

    name = "qemu"
    program = "qemu-system-x86_64"

    def available(self):
        return any(os.access(os.path.join(place, self.program), os.X_OK)
                   for place in os.environ.get("PATH", "").split(os.pathsep))

    def command(self, spec):
        words = [self.program, "-accel", "tcg", "-cpu", "max", "-M", "q35", "-m", spec.memory,
                 "-smp", spec.vcpus, "-nodefaults", "-no-user-config", "-display", "none",
                 "-serial", "mon:stdio", "-device", "virtio-rng-pci"]
        for option, value in (("-kernel", spec.kernel), ("-initrd", spec.initrd),
                              ("-append", spec.cmdline)):
            if value is not None:
                words += [option, value]
        for number, disk in enumerate(spec.disks):
            words += ["-drive", f"id=disk{number},file={disk},format=raw,if=none",
                      "-device", f"virtio-blk-pci,drive=disk{number}"]
        return [str(word) for word in words]
