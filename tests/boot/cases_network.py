"""Network cards: an address by DHCP, files to and from the host, connections into the guest."""
import contextlib
import hashlib
import http.server
import queue
import random
import shutil
import socket
import threading
import time

import machine
from case import SHELL_PROMPT, Skipped, case, check, check_equal
from guest import initrd, kernel

FILE_BYTES = 8 << 20

# What udhcpc runs with what it was told.
UDHCPC = b"""#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet"
route add default gw "$router"
echo "nameserver $dns" >/etc/resolv.conf
"""


class Files:
    """Servers on the loopback: one gives a file by HTTP, one keeps what is sent to it."""

    def __init__(self):
        self.content = random.Random(5).randbytes(FILE_BYTES)
        self.received = queue.Queue()
        self.taker = socket.create_server(("127.0.0.1", 0))
        self.taker_port = self.taker.getsockname()[1]
        threading.Thread(target=self._take, daemon=True).start()
        files = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(files.content)))
                self.end_headers()
                self.wfile.write(files.content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.taker.accept()
                with peer, peer.makefile("rb") as stream:
                    self.received.put(stream.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.taker.close()


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def network_initrd(context, flavour, modules):
    """The usual initrd with these modules and a script that loads them behind it."""
    chosen = kernel.kernel(flavour)
    order = chosen.module_order(("af_packet", *modules))
    files = {f"lib/net/{initrd.module_name(file)}": (kernel.read_module(file), 0o644)
             for file in order}
    load = "".join(f"insmod /lib/net/{initrd.module_name(file)} 2>/dev/null\n" for file in order)
    files["etc/net"] = (f"#!/bin/sh\n{load}".encode(), 0o755)
    files["etc/udhcpc"] = (UDHCPC, 0o755)
    path = context.directory / "initrd"
    path.write_bytes(initrd.initrd(chosen).plain.read_bytes() + initrd.overlay(files))
    return path


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def up(guest):
    """Loads the card's driver and gets an address; returns it."""
    guest.command("sh /etc/net; ifconfig lo 127.0.0.1; ifconfig eth0 up")
    guest.command("udhcpc -i eth0 -n -q -t 20 -s /etc/udhcpc", quiet=300)
    return guest.command("ifconfig eth0 | sed -n 's/.*inet addr:\\([0-9.]*\\).*/\\1/p'")


def exchange(guest, files):
    """A file from the host and back."""
    guest.command(f"wget -q -O /tmp/file http://10.0.2.2:{files.port}/file", quiet=600)
    check_equal(guest.command("sha256sum /tmp/file").split()[0], sha256(files.content),
                "sha256 of what the guest fetched")
    guest.command(f"nc 10.0.2.2 {files.taker_port} </tmp/file", quiet=600)
    check_equal(sha256(files.received.get(timeout=60)), sha256(files.content),
                "sha256 of what the guest sent")


def reach_in(guest, port):
    """A connection from the host to a port of the guest."""
    guest.send("nc -l -p 2222 -e cat; echo served\n")
    text = b"over the bridge"
    for attempt in range(600):
        time.sleep(0.1 if attempt else 0)       # until it listens, the guest refuses at once
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 60) as peer:
            peer.settimeout(60)
            peer.sendall(text)
            got = peer.recv(100)
            if got == text:
                break
    else:
        check(False, "the guest's server was not reached by hostfwd")
    guest.expect("served")


@case("network-virtio", fast=True, own=True)
def virtio(context):
    """virtio-net over virtio-mmio: DHCP, 8 MiB each way by HTTP, a connection into the guest."""
    port = free_port()
    capture = context.directory / "net.pcap"
    with Files() as files:
        guest = context.boot_to_shell(
            flavour="cloud", vcpus=2, initrd=network_initrd(context, "cloud", ("virtio_net",)),
            more=("--network", f"user,hostfwd=tcp:127.0.0.1:{port}-:2222,"
                               f"mac=52:54:00:11:22:33,pcap={capture}"))
        check_equal(up(guest), "10.0.2.15", "the guest's address")
        check_equal(guest.command("cat /sys/class/net/eth0/address"), "52:54:00:11:22:33",
                    "the card's address")
        exchange(guest, files)
        reach_in(guest, port)
        context.power_off(guest)
    check_equal(capture.read_bytes()[:4], bytes.fromhex("4d3cb2a1"), "the recording's first bytes")
    check(capture.stat().st_size > 2 * FILE_BYTES, "the recording holds less than was sent")


def qemu_switch(context, netdev):
    """QEMU without a machine, as a network: its user network joined to a cable."""
    return context.start_command(
        ["qemu-system-x86_64", "-M", "none", "-display", "none", "-nodefaults", "-monitor", "stdio",
         "-netdev", "user,id=u", "-netdev", "hubport,hubid=0,id=h0,netdev=u",
         "-netdev", f"{netdev},id=c", "-netdev", "hubport,hubid=0,id=h1,netdev=c"])


def over_a_cable(context, netdev, option):
    """What QEMU's own user network serves, reached over a cable that QEMU holds the other end of."""
    if shutil.which("qemu-system-x86_64") is None:
        raise Skipped("qemu-system-x86_64 is not installed")
    peer = qemu_switch(context, netdev)
    peer.expect("monitor")
    with Files() as files:
        guest = context.boot_to_shell(
            flavour="cloud", initrd=network_initrd(context, "cloud", ("virtio_net",)),
            more=("--network", option))
        check_equal(up(guest), "10.0.2.15", "the guest's address")
        exchange(guest, files)
        context.power_off(guest)
    peer.send("quit\n")
    peer.wait(60)


@case("network-cable-stream", own=True)
def cable_stream(context):
    path = context.directory / "cable"
    over_a_cable(context, f"stream,server=on,addr.type=unix,addr.path={path}", f"stream={path}")


@case("network-cable-dgram", own=True)
def cable_dgram(context):
    ours, theirs = context.directory / "ours", context.directory / "theirs"
    over_a_cable(context, f"dgram,local.type=unix,local.path={theirs},remote.type=unix,"
                          f"remote.path={ours}", f"dgram={ours},peer={theirs}")


def on_the_pc(context, model, modules):
    with Files() as files:
        guest = context.boot_to_shell(
            flavour="stock", vcpus=2, initrd=network_initrd(context, "stock", modules),
            more=("--machine", "pc", "--network", f"user,model={model}"))
        check_equal(up(guest), "10.0.2.15", "the guest's address")
        exchange(guest, files)
        noise = guest.command("dmesg | grep -iE 'tx (unit )?hang|transmit timed out|netdev watch' "
                              "|| true")
        check_equal(noise, "", "complaints of the driver")
        context.power_off(guest)


@case("network-e1000", own=True)
def e1000(context):
    """An e1000 on the PC: DHCP, 8 MiB each way."""
    on_the_pc(context, "e1000", ("e1000",))


@case("network-rtl8139", own=True)
def rtl8139(context):
    """An RTL8139C+ on the PC, in C+ mode: DHCP, 8 MiB each way."""
    on_the_pc(context, "rtl8139", ("8139cp",))


@case("network-virtio-pci", own=True)
def virtio_pci(context):
    """virtio-net over PCI on the PC: DHCP, 8 MiB each way."""
    on_the_pc(context, "virtio", ("virtio_net",))


class BootFiles:
    """An HTTP server on the loopback that gives what a machine boots."""

    def __init__(self, files):
        self.asked = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                content = files.get(self.path)
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def do_HEAD(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(files.get(self.path, b""))))
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def boot_by_ipxe(context, model):
    """SeaBIOS runs the card's ROM; iPXE fetches a script, kernel and initrd by HTTP."""
    chosen = kernel.kernel("stock")
    files = {"/vmlinuz": chosen.image.read_bytes(),
             "/initrd": initrd.initrd(chosen).compressed.read_bytes()}
    with BootFiles(files) as server:
        files["/boot.ipxe"] = (f"#!ipxe\nkernel http://10.0.2.2:{server.port}/vmlinuz "
                               "console=ttyS0 initrd=initrd\n"
                               f"initrd --name initrd http://10.0.2.2:{server.port}/initrd\n"
                               "boot\n").encode()
        guest = context.start(machine.Spec(
            cmdline=None,
            more=("--machine", "pc", "--boot", "network", "--network",
                  f"user,model={model},bootfile=http://10.0.2.2:{server.port}/boot.ipxe")))
        guest.expect(SHELL_PROMPT, total=600)
        context.power_off(guest)
        check_equal(server.asked, ["/boot.ipxe", "/vmlinuz", "/initrd"], "what iPXE fetched")


@case("network-ipxe-e1000", own=True)
def ipxe_e1000(context):
    boot_by_ipxe(context, "e1000")


@case("network-ipxe-rtl8139", own=True)
def ipxe_rtl8139(context):
    boot_by_ipxe(context, "rtl8139")
