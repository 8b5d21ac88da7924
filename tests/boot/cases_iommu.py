"""An IOMMU in front of a PC's devices: found by firmware tables, and drivers know of it."""
from case import case, check, check_equal
from cases_network import Files, exchange, up
from cases_virtio import device_of, negotiated, pc_initrd, work_on_disk

PLATFORM_BIT, IOMMU_TYPE = 33, 23


@case("iommu-bypass", own=True)
def bypass(context):
    """Debian's kernel has no driver for it, so it lets everything pass; disk and card use platform
    addresses all the same, and a card that was left out does not."""
    path = context.blank_disk(4)
    with Files() as files:
        guest = context.boot_to_shell(
            vcpus=2, initrd=pc_initrd(context, ("virtio_net", "virtio_blk")),
            more=("--machine", "pc", "--iommu", "virtio", "--disk", f"path={path},bus=virtio",
                  "--network", "user,model=virtio", "--network", "user,model=virtio,iommu=off"))
        up(guest)
        check_equal(guest.command("head -c 4 /sys/firmware/acpi/tables/VIOT"), "VIOT", "the table")
        check(device_of(guest, IOMMU_TYPE), "no IOMMU")
        names = guest.command("ls /sys/bus/virtio/devices").split()
        behind = [int(guest.command(f"cat /sys/bus/virtio/devices/{name}/device"), 16)
                  for name in names if negotiated(guest, name, PLATFORM_BIT)]
        check_equal((behind.count(1), behind.count(2)), (1, 1), "cards and disks behind the IOMMU")
        exchange(guest, files)
        work_on_disk(guest, "vda", path, lambda: context.power_off(guest))
