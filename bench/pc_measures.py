"""What bench/pc measures of one PC: {metric: number}, times in seconds, rates per second."""
import http.server
import json
import pathlib
import re
import threading
import time

import console
import pc_guest
import pc_machines
from guest import disk, rootfs

SEABIOS, OVMF = "boot/SeaBIOS", "boot/OVMF"
GRUB, LOGIN = "boot/firmware to GRUB", "boot/GRUB to login"
# Metric: fio's options. Direct, so that each is a command to the disk.
DISK_JOBS = {"4 KiB random, depth 1": "--rw=randread --bs=4k --iodepth=1",
             "4 KiB random, depth 8": "--rw=randread --bs=4k --iodepth=8",
             "1 MiB sequential, depth 1": "--rw=read --bs=1M --iodepth=1",
             "1 MiB sequential, depth 8": "--rw=read --bs=1M --iodepth=8"}
DISKS = {"AHCI": "/dev/sdb", "virtio-blk": "/dev/vda"}
CARDS = {"e1000": ("e1000", "e1000"), "virtio-net": ("virtio", "virtio_net")}
HOST = "10.0.2.2"
MEBIBYTE = 1 << 20
_PROMPT = r"root@guest:[^\r\n]*# "


def metrics():
    disks = [f"{disk}/{job}" for disk in DISKS for job in DISK_JOBS]
    return [SEABIOS, OVMF, GRUB, LOGIN, *disks, *(f"{card}/HTTP download" for card in CARDS)]


class Download:
    """A server on the loopback that times how long the other side takes to take everything."""

    def __init__(self, mebibytes):
        self.size = mebibytes * MEBIBYTE
        self.seconds = None
        self._done = threading.Event()
        download = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                part, began = bytes(range(256)) * 4096, time.monotonic()
                self.send_response(200)
                self.send_header("Content-Length", str(download.size))
                self.end_headers()
                for _ in range(mebibytes):
                    self.wfile.write(part)
                self.rfile.read(1)   # the peer closes once it has all
                download.seconds = time.monotonic() - began
                download._done.set()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def rate(self):
        if not self._done.wait(60):
            raise console.ConsoleError("the guest's download did not end")
        return self.size / MEBIBYTE / self.seconds

    def close(self):
        self._server.shutdown()
        self._server.server_close()


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
            disks += ((self._noise, "sata"), (self._noise_copy(), "virtio"))
        cards = tuple(model for card, (model, _) in CARDS.items()
                      if f"{card}/HTTP download" in self._chosen)
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

    def _noise_copy(self):
        """QEMU locks each image; the second disk is another file, cached as the first."""
        copy = self._directory / "noise2.img"
        if not copy.exists():
            copy.write_bytes(self._noise.read_bytes())
        return copy

    def _in_guest(self, guest, metric, found):
        device, _, job = metric.partition("/")
        if device in DISKS:
            found[metric] = self._fio(guest, DISKS[device], DISK_JOBS[job])
        elif device in CARDS:
            found[metric] = self._fetch(guest, CARDS[device][1])

    def _fio(self, guest, node, job):
        """Reads a second, or MiB a second where they are large."""
        text = guest.command(f"fio --name=x --filename={node} --direct=1 --ioengine=libaio {job} "
                             f"--time_based --runtime={self._options.seconds} --readonly "
                             "--output-format=json 2>/dev/null", quiet=300)
        read = json.loads(text[text.index("{"):])["jobs"][0]["read"]
        return read["bw_bytes"] / MEBIBYTE if "bs=1M" in job else read["iops"]

    def _fetch(self, guest, driver):
        """MiB a second. The other card is down meanwhile: both networks have one address range."""
        names = dict(line.split() for line in guest.command(
            "for i in /sys/class/net/*; do [ -e $i/device/driver ] && echo "
            "$(basename $(readlink $i/device/driver)) $(basename $i); done; true").splitlines())
        for other, name in names.items():
            guest.command(f"ip link set {name} {'up' if other == driver else 'down'}")
        guest.command(f"for i in $(seq 100); do ip -4 route show default dev {names[driver]} | "
                      "grep -q . && break; sleep 0.3; done", quiet=120)
        download = Download(self._options.mebibytes)
        try:
            guest.command(f"wget -q -O /dev/null http://{HOST}:{download.port}/", quiet=300)
            return download.rate()
        finally:
            download.close()


def unit(metric):
    if metric.startswith("boot/"):
        return "s"
    return "MiB/s" if re.search("1 MiB|download", metric) else "reads/s"
