"""vhost-user: a driver that goes and comes back."""
import random

from case import case, check, check_equal
from cases_vhost import mynah_disk, sha256


@case("vhost-serve-disk-again", fast=True, own=True)
def serve_disk_again(context):
    """The guest's driver lets our disk go and takes it again, negotiating the same."""
    image = context.directory / "disk.img"
    image.write_bytes(random.Random(3).randbytes(4 << 20))
    socket = context.directory / "disk.sock"
    with mynah_disk(context, image, socket):
        guest = context.boot_to_shell(flavour="cloud", more=("--disk", f"vhost-user={socket}"))
        driver = "/sys/bus/virtio/drivers/virtio_blk"
        device = guest.command(f"cd {driver}; ls -d virtio*").strip()
        check(device.startswith("virtio"), f"the disk's device: {device}")
        read = "dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | sha256sum"
        for _ in range(2):
            got = guest.command(read).split()[0]
            check_equal(got, sha256(image.read_bytes()), "sha256 of what the guest read")
            guest.command(f"echo {device} >{driver}/unbind; echo {device} >{driver}/bind")
            guest.command("while [ ! -b /dev/vda ]; do sleep 0.1; done")
        context.power_off(guest)
