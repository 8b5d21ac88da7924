"""The same PC twice: `mynah --machine pc`, and QEMU's translator with q35."""
import dataclasses
import os
import pathlib

import machine
import pc_guest


@dataclasses.dataclass
class Pc:
    """A PC as a measurement wants it: disks are (path, bus), networks are models."""

    disks: tuple
    networks: tuple = ()
    uefi: pathlib.Path = None    # its variable store
    vcpus: int = 2
    memory: str = "1G"


def form(path):
    return "qcow2" if str(path).endswith(".qcow2") else "raw"


class Mynah:
    def __init__(self, program, accel):
        self.name = f"mynah {accel}"
        self.program = pathlib.Path(program or os.environ.get("MYNAH") or machine.MYNAH).resolve()
        self._accel = accel

    def available(self):
        return os.access(self.program, os.X_OK)

    def command(self, pc):
        words = [self.program, "run", "--machine", "pc", "--accel", self._accel, "--memory",
                 pc.memory, "--vcpus", pc.vcpus]
        for path, bus in pc.disks:
            words += ["--disk", f"path={path},format={form(path)},bus={bus}"]
        for model in pc.networks:
            words += ["--network", f"user,model={model}"]
        if pc.uefi:
            words += ["--boot", f"uefi,nvram={pc.uefi}"]
        return [str(word) for word in words]


class Qemu:
    name = "qemu tcg"
    program = "qemu-system-x86_64"
    _CARDS = {"e1000": "e1000", "virtio": "virtio-net-pci"}

    def available(self):
        return machine.Qemu().available()

    def command(self, pc):
        words = [self.program, "-accel", "tcg", "-cpu", "max", "-M", "q35", "-m", pc.memory, "-smp",
                 pc.vcpus, "-nodefaults", "-no-user-config", "-display", "none", "-vga", "std",
                 "-serial", "stdio"]
        ports = 0
        for number, (path, bus) in enumerate(pc.disks):
            words += ["-drive", f"id=d{number},file={path},format={form(path)},if=none"]
            if bus == "sata":
                words += ["-device", f"ide-hd,drive=d{number},bus=ide.{ports}"]
                ports += 1
            else:
                words += ["-device", f"virtio-blk-pci,drive=d{number}"]
        for number, model in enumerate(pc.networks):
            words += ["-netdev", f"user,id=n{number}", "-device",
                      f"{self._CARDS[model]},netdev=n{number},mac=52:54:00:00:00:0{number}"]
        if pc.uefi:
            code = pc_guest.OVMF / "OVMF_CODE_4M.fd"
            words += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
                      "-drive", f"if=pflash,format=raw,unit=1,file={pc.uefi}"]
        return [str(word) for word in words]
