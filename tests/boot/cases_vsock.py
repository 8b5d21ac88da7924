"""Sockets between guest and host: a shell, bytes both ways, many connections, ends of streams."""
import contextlib
import hashlib
import pathlib
import random
import socket
import threading

from case import case, check, check_equal, run_tool
from modules import with_modules

BYTES = 4 << 20
SOURCE = pathlib.Path(__file__).with_name("guest") / "vsock.c"


def guest_program(context):
    program = context.directory / "vsock"
    run_tool("cc", "-O1", "-static", "-o", program, SOURCE)
    return program.read_bytes()


def connect(path, port):
    """A connection to a port of the guest, after the handshake."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(240)
    peer.connect(str(path))
    peer.sendall(f"CONNECT {port}\n".encode())
    line = b""
    while not line.endswith(b"\n"):
        part = peer.recv(1)
        check(part, f"no answer to CONNECT {port}: {line!r}")
        line += part
    check(line.startswith(b"OK "), f"answer to CONNECT {port}: {line!r}")
    return peer


def read_all(peer):
    data = bytearray()
    while part := peer.recv(1 << 16):
        data += part
    return bytes(data)


def echo(path, port, data):
    """What came back."""
    with contextlib.closing(connect(path, port)) as peer:
        def send():
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        got = read_all(peer)
        sender.join()
        return got


def vsock(context, board):
    path = context.directory / "vsock.sock"
    initrd = with_modules(context, "stock", ("vmw_vsock_virtio_transport",),
                          {"bin/vsock": (guest_program(context), 0o755)})
    guest = context.boot_to_shell(vcpus=2, initrd=initrd,
                                  more=("--vsock", f"cid=42,socket={path}", *board))
    guest.command("sh /etc/modules-load")
    for port, program in ((1000, "sh"), (1001, "cat")):
        guest.send(f"vsock listen {port} {program} &\n")
        guest.expect("listening")
    # A shell over the socket.
    with contextlib.closing(connect(path, 1000)) as peer:
        peer.sendall(b"echo $((6*7)); uname -s; exit\n")
        check_equal(read_all(peer), b"42\nLinux\n", "what the shell answered")
    # Nobody listens.
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as peer:
        peer.settimeout(240)
        peer.connect(str(path))
        peer.sendall(b"CONNECT 4999\n")
        check_equal(peer.recv(100), b"", "answer for a port where nobody listens")
    data = random.Random(3).randbytes(BYTES)
    check(echo(path, 1001, data) == data, "4 MiB through the guest came back different")
    # Several at once, each with its own bytes.
    results = {}

    def one(number):
        mine = random.Random(number).randbytes(200_000 + number)
        results[number] = echo(path, 1001, mine) == mine
    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_equal([n for n in range(12) if not results.get(n)], [], "connections with wrong bytes")
    # The guest connects.
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(f"{path}_77")
        server.listen(1)
        guest.command(f"head -c {BYTES} /dev/urandom >/tmp/f")
        wanted = guest.command("sha256sum /tmp/f").split()[0]
        guest.send("vsock connect 77 cat /tmp/f\n")
        peer, _ = server.accept()
        with peer:
            peer.settimeout(240)
            check_equal(hashlib.sha256(read_all(peer)).hexdigest(), wanted,
                        "sha256 of what the guest sent")
    text = guest.command("vsock connect 78 cat 2>&1", status=1)
    check("reset" in text or "refused" in text, f"connecting to nobody: {text}")
    context.power_off(guest)
    check(not path.exists(), "the socket is left behind")


@case("vsock", fast=True, own=True)
def vsock_micro(context):
    vsock(context, ())


@case("vsock-pc", own=True)
def vsock_pc(context):
    vsock(context, ("--machine", "pc"))
