"""vDPA: our software device behind our front end, with stock Linux in the guest."""
import random
import subprocess

from case import case, check, check_equal
from cases_network import Files, exchange, network_initrd, up
from cases_vhost import BackEnd, killed, read_and_write


def vdpa(context, image, socket, queues=1):
    return BackEnd([context.emulator.program, "serve", "vdpa", "--socket", socket, "--disk",
                    f"path={image}", "--queues", queues], socket,
                   context.directory / "back-end.log")


def disk(context, queues=1, **fields):
    image = context.directory / "disk.img"
    image.write_bytes(random.Random(1).randbytes(8 << 20))
    socket = context.directory / "vdpa.sock"
    with vdpa(context, image, socket, queues):
        more = ("--vdpa", f"{socket},queues={queues}", *fields.pop("more", ()))
        guest = context.boot_to_shell(more=more, **fields)
        read_and_write(context, guest, image)


@case("vdpa-disk", fast=True, own=True)
def micro(context):
    """A disk by `mynah serve vdpa` on the micro board: read, written and compared."""
    disk(context, flavour="cloud", vcpus=2)


@case("vdpa-disk-pc", own=True)
def pc(context):
    """The same on the PC, with four queues."""
    disk(context, queues=4, flavour="stock", vcpus=4, more=("--machine", "pc"))


@case("vdpa-disk-killed", own=True)
def disk_killed(context):
    """The process that is the device is killed while the guest writes; another takes over."""
    killed(context, vdpa, option="--vdpa={}")


@case("vdpa-network", own=True)
def network(context):
    """A card by `mynah serve vdpa` with the user network behind it."""
    socket = context.directory / "vdpa.sock"
    server = BackEnd([context.emulator.program, "serve", "vdpa", "--socket", socket, "--network",
                      "user"], socket, context.directory / "back-end.log")
    with server, Files() as files:
        guest = context.boot_to_shell(
            flavour="cloud", initrd=network_initrd(context, "cloud", ("virtio_net",)),
            more=("--vdpa", str(socket)))
        check_equal(up(guest), "10.0.2.15", "the guest's address")
        exchange(guest, files)
        context.power_off(guest)


@case("vdpa-bad-input", fast=True, own=True)
def bad_input(context):
    """One line that names the option and the path."""
    nobody, file = context.directory / "nobody", context.directory / "file"
    file.write_bytes(b"none")
    for value, wanted in ((nobody, f"--vdpa {nobody}: there is no such device"),
                          (file, f"--vdpa {file}: no vDPA device: VHOST_VDPA_GET_DEVICE_ID"),
                          (f"{nobody},queues=99", "queues=99: expected 1 to 64"),
                          (f"{nobody},size=1", "unknown part 'size'"),
                          ("", "expected the path of a device or a socket")):
        answer = subprocess.run(
            [context.emulator.program, "run", "--machine", "pc", "--boot", "hd", "--vdpa",
             str(value)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=300)
        check_equal(answer.returncode, 1, f"status with {value}")
        check(wanted in answer.stdout and answer.stdout.count("\n") == 1,
              f"{value}: {answer.stdout}")
