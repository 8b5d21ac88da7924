"""What bench/pc measures of one PC: {metric: number}, times in seconds, rates per second."""
import json
import os
import pathlib
import re
import subprocess
import time

import console
import pc_guest
import pc_machines
import pc_network
from guest import disk, rootfs

SEABIOS, OVMF = "boot/SeaBIOS", "boot/OVMF"
GRUB, LOGIN = "boot/firmware to GRUB", "boot/GRUB to login"
# Metric: fio's options. Direct, so that each is a command to the disk.
DISK_JOBS = {"4 KiB random, depth 1": "--rw=randread --bs=4k --iodepth=1",
             "4 KiB random, depth 8": "--rw=randread --bs=4k --iodepth=8",
             "1 MiB sequential, depth 1": "--rw=read --bs=1M --iodepth=1",
             "1 MiB sequential, depth 8": "--rw=read --bs=1M --iodepth=8"}
WRITE_JOBS = {"4 KiB random write, depth 1": "--rw=randwrite --bs=4k --iodepth=1",
              "4 KiB random write, depth 8": "--rw=randwrite --bs=4k --iodepth=8",
              "1 MiB sequential write, depth 1": "--rw=write --bs=1M --iodepth=1"}
# The guest's device, and its jobs. Those of qcow2 have all their clusters.
DISKS = {"AHCI": ("/dev/sdb", DISK_JOBS),
         "virtio-blk": ("/dev/vda", DISK_JOBS | WRITE_JOBS),
         "virtio-blk qcow2": ("/dev/vdb", DISK_JOBS | WRITE_JOBS)}
CARDS = {"e1000": ("e1000", "e1000"), "virtio-net": ("virtio", "virtio_net")}
DOWNLOAD, UPLOAD = "HTTP download", "upload"
DOWNLOAD_TIME, UPLOAD_TIME = "processor time of a download", "processor time of an upload"
TRIPS, CONNECTIONS = "round trips", "connections"
TRANSFERS = (DOWNLOAD, DOWNLOAD_TIME, UPLOAD, UPLOAD_TIME, TRIPS, CONNECTIONS)
MEBIBYTE = pc_network.MEBIBYTE
_PROMPT = r"root@guest:[^\r\n]*# "


def metrics():
    disks = [f"{disk}/{job}" for disk, (_, jobs) in DISKS.items() for job in jobs]
    return [SEABIOS, OVMF, GRUB, LOGIN, *disks,
            *(f"{card}/{what}" for card in CARDS for what in TRANSFERS)]


def fio(guest, node, job, seconds):
    """Requests a second, or MiB a second where they are large."""
    safe = "" if "write" in job else "--readonly "
    text = guest.command(f"fio --name=x --filename={node} --direct=1 --ioengine=libaio {job} "
                         f"--time_based --runtime={seconds} {safe}"
                         "--output-format=json 2>/dev/null", quiet=300)
    done = json.loads(text[text.index("{"):])["jobs"][0]["write" if not safe else "read"]
    return done["bw_bytes"] / MEBIBYTE if "bs=1M" in job else done["iops"]


class Measures:
    def __init__(self, directory, chosen, options):
        self._directory = pathlib.Path(directory)
        self._chosen = chosen
        self._options = options
        self.problems = []
        self._sector = pc_guest.boot_sector(self._directory / "sector.img")
        self._noise = None
        if OVMF in chosen:
            self._efi = pc_guest.efi_disk(self._directory / "efi.img")
        if any(metric.split("/")[0] in DISKS for metric in chosen):
            self._noise = pc_guest.noise_disk(self._directory / "noise.img", options.mebibytes)

    def of(self, emulator):
        found = {}
        if SEABIOS in self._chosen:
            found[SEABIOS] = self._until_mark(emulator, pc_machines.Pc(
                ((self._sector, "sata"),), vcpus=1))
        if OVMF in self._chosen:
            store = pc_guest.variables(self._directory / "variables.fd")
            found[OVMF] = self._until_mark(emulator, pc_machines.Pc(
                ((self._efi, "sata"),), vcpus=1, uefi=store))
        if set(self._chosen) - {SEABIOS, OVMF}:
            self._debian(emulator, found)
        return {metric: value for metric, value in found.items() if metric in self._chosen}

    def _start(self, emulator, pc):
        return console.Console(emulator.command(pc), log=self._options.log)

    def _until_mark(self, emulator, pc):
        began = time.monotonic()
        with self._start(emulator, pc) as machine:
            machine.expect(pc_guest.MARK, quiet=120)
            return time.monotonic() - began

    def _debian(self, emulator, found):
        path = rootfs.copy(disk.bootable(), self._directory / "root.img")
        disks = ((path, "sata"),)
        if self._noise:
            disks += ((self._noise, "sata"), (self._copy("raw"), "virtio"),
                      (self._copy("qcow2"), "virtio"))
        cards = tuple(model for card, (model, _) in CARDS.items()
                      if any(metric.startswith(f"{card}/") for metric in self._chosen))
        began = time.monotonic()
        pc = pc_machines.Pc(disks, cards, vcpus=self._options.vcpus)
        with self._start(emulator, pc) as guest:
            guest.expect("Linux version|Booting `Debian'|Loading |Welcome to GRUB")
            grub = time.monotonic()
            guest.expect("guest login: ", total=2400)
            found[GRUB], found[LOGIN] = grub - began, time.monotonic() - grub
            guest.send("root\n")
            guest.expect(_PROMPT)
            guest.command("dmesg -n 1; bind 'set enable-bracketed-paste off'")
            guest.command("systemctl is-system-running --wait", status=None, quiet=600)
            for metric in self._chosen:
                try:
                    self._in_guest(guest, metric, found)
                except console.ConsoleError as problem:
                    # The console is in no known state; what was measured before counts.
                    self.problems.append(f"{emulator.name}: {metric}: {problem}")
                    return
            guest.send("poweroff -f\n")
            guest.wait(60)

    def _copy(self, form):
        """QEMU locks each image; every disk is another file, cached as the first."""
        copy = self._directory / f"noise.{form}"
        if not copy.exists():
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, self._noise, copy],
                           check=True)
        return copy

    def _in_guest(self, guest, metric, found):
        device, _, job = metric.partition("/")
        if device in DISKS:
            node, jobs = DISKS[device]
            found[metric] = fio(guest, node, jobs[job], self._options.seconds)
        elif device in CARDS and metric not in found:
            self._transfer(guest, device, job, found)

    def _transfer(self, guest, card, what, found):
        self._choose_card(guest, CARDS[card][1])
        mebibytes = self._options.mebibytes
        server = {DOWNLOAD: lambda: pc_network.Download(mebibytes),
                  DOWNLOAD_TIME: lambda: pc_network.Download(mebibytes),
                  UPLOAD: lambda: pc_network.Upload(mebibytes),
                  UPLOAD_TIME: lambda: pc_network.Upload(mebibytes),
                  TRIPS: lambda: pc_network.RoundTrips(self._options.seconds),
                  CONNECTIONS: pc_network.Connections}[what]()
        try:
            before = _processor_seconds(guest.process.pid)
            guest.command(server.command, quiet=300)
            spent = _processor_seconds(guest.process.pid) - before
            rate = server.rate()
        except pc_network.Unfinished as problem:
            raise console.ConsoleError(str(problem)) from problem
        finally:
            server.close()
        if what in (DOWNLOAD, DOWNLOAD_TIME, UPLOAD, UPLOAD_TIME):
            upload = what in (UPLOAD, UPLOAD_TIME)
            found[f"{card}/{UPLOAD if upload else DOWNLOAD}"] = rate
            found[f"{card}/{UPLOAD_TIME if upload else DOWNLOAD_TIME}"] = spent * 1000 / mebibytes
        else:
            found[f"{card}/{what}"] = rate

    @staticmethod
    def _choose_card(guest, driver):
        """The other card is down meanwhile: both networks have one address range."""
        names = dict(line.split() for line in guest.command(
            "for i in /sys/class/net/*; do [ -e $i/device/driver ] && echo "
            "$(basename $(readlink $i/device/driver)) $(basename $i); done; true").splitlines())
        for other, name in names.items():
            guest.command(f"ip link set {name} {'up' if other == driver else 'down'}")
        guest.command(f"for i in $(seq 100); do ip -4 route show default dev {names[driver]} | "
                      "grep -q . && break; sleep 0.3; done", quiet=120)


def _processor_seconds(pid):
    """Of the machine's whole process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_time(metric):
    """Less is better."""
    return unit(metric) in ("s", "ms/MiB")


def unit(metric):
    if metric.startswith("boot/"):
        return "s"
    what = metric.partition("/")[2]
    if what in (DOWNLOAD_TIME, UPLOAD_TIME):
        return "ms/MiB"
    if what in (TRIPS, CONNECTIONS):
        return "a second"
    return "MiB/s" if re.search("1 MiB|download|upload", what) else "requests/s"
