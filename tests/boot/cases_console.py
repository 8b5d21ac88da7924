"""The virtio console: a terminal whose size follows the host's, and channels that carry bytes."""
import contextlib
import hashlib
import random
import socket

from case import SHELL_PROMPT, case, check, check_equal
from modules import with_modules

BYTES = 1 << 20

HVC = b"""#!/bin/busybox sh
sh /etc/modules-load
while [ ! -c /dev/hvc0 ]; do usleep 20000; done
cd /root
exec setsid sh -c 'PS1="mynah:hvc# " exec sh </dev/hvc0 >/dev/hvc0 2>&1'
"""


def machine(board):
    return () if board == "micro" else ("--machine", "pc")


def channel_node(guest, name):
    """Ports come some time after their driver, by messages."""
    found = guest.command(f"cd /sys/class/virtio-ports; for i in $(seq 200); do grep -lx {name} */name "
                          "2>/dev/null && break; usleep 50000; done; cd /root")
    check(found, f"there is no port {name}")
    return "/dev/" + found.split("/")[0]


def terminal(context, board):
    path = with_modules(context, "stock", ("virtio_console",), {"etc/hvc": (HVC, 0o755)})
    log = context.directory / "serial"
    guest = context.start(context.spec(
        initrd=path, cmdline="console=ttyS0 mynah.run=/etc/hvc",
        more=("--serial", f"file={log}", "--console", "virtio", *machine(board))))
    guest.expect(SHELL_PROMPT)
    check_equal(guest.command("stty size </dev/hvc0"), "50 160", "the terminal's size")
    guest.resize(33, 101)
    for _ in range(100):
        if guest.command("stty size </dev/hvc0; usleep 50000") == "33 101":
            break
    else:
        check(False, "the guest did not see the terminal's new size")
    # There is no init that would answer the applet of this name.
    guest.send("/sbin/poweroff\n")
    check_equal(guest.wait(), 0, "status after the guest powered off")
    check("mynah-init: up" in log.read_text(errors="replace"), "nothing on the serial port")


def channels(context, board):
    path = context.directory / "channel"
    guest = context.boot_to_shell(
        vcpus=2, initrd=with_modules(context, "stock", ("virtio_console",)),
        more=("--channel", f"unix,path={path},name=org.mynah.test",
              "--console", f"socket={context.directory / 'hvc'},target_type=virtio",
              *machine(board)))
    guest.command("sh /etc/modules-load")
    node = channel_node(guest, "org.mynah.test")
    data = random.Random(7).randbytes(BYTES)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as peer:
        peer.settimeout(240)
        peer.connect(str(path))
        guest.send(f"head -c {BYTES} {node} | sha256sum; echo reading-is-over\n")
        peer.sendall(data)
        guest.expect(hashlib.sha256(data).hexdigest())
        guest.expect("reading-is-over")
        guest.send(f"head -c {BYTES} /dev/urandom >/tmp/f; sha256sum /tmp/f; cat /tmp/f >{node}\n")
        got = bytearray()
        while len(got) < BYTES:
            part = peer.recv(65536)
            check(part, f"the channel closed after {len(got)} bytes")
            got += part
        guest.expect(hashlib.sha256(got).hexdigest())
    # Nobody at the other end: reading ends.
    check_equal(guest.command(f"cat {node} | wc -c"), "0", "bytes from a channel with nobody at it")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as peer:
        peer.settimeout(240)
        peer.connect(str(context.directory / "hvc"))
        guest.command("echo to-the-console >/dev/hvc0")
        check(b"to-the-console" in peer.recv(4096), "the console's text did not come")
    context.power_off(guest)


@case("console-terminal", fast=True, own=True)
def console_terminal(context):
    """A shell on /dev/hvc0; the size of its terminal follows the host's."""
    terminal(context, "micro")


@case("console-terminal-pc", own=True)
def console_terminal_pc(context):
    terminal(context, "pc")


@case("console-channels", fast=True, own=True)
def console_channels(context):
    """1 MiB each way through a channel, and a console beside it."""
    channels(context, "micro")


@case("console-channels-pc", own=True)
def console_channels_pc(context):
    channels(context, "pc")
