"""A complete PC: Debian from a disk with GRUB, through firmware, on every kind of controller."""
import hashlib
import random
import re

import machine
from case import case, check, check_equal
from cases_disk import log_in
from cases_network import Files
from cases_vhost import with_modules
from guest import disk, rootfs

# What the kernel says of this board and not of a faulty one, that looks like a complaint.
HARMLESS = re.compile(r"nocrs|regulatory|cfg80211|acpi_pm|not a bug|RAS:|systemd|EXT4-fs .*errors=",
                      re.IGNORECASE)
COMPLAINT = re.compile(r"ACPI (BIOS )?(Error|Warning)|\[Firmware Bug\]|PCI: .*(fail|conflict|can't)"
                       r"|BAR \d+: (no space|failed|can't)|irq \d+: nobody cared|spurious"
                       r"|PCIe Bus Error|AER:|routing|timed? ?out|I/O error|hard resetting", re.I)


def start_pc(context, path, bus, *more, memory="1G", vcpus=2):
    spec = machine.Spec(memory=memory, vcpus=vcpus, cmdline=None,
                        more=("--machine", "pc", "--disk", f"path={path},format=raw,bus={bus}",
                              *more))
    return context.start(spec)


def look_at_log(guest):
    """The kernel's log holds nothing that accuses the board."""
    log = guest.command("dmesg --level=emerg,alert,crit,err,warn --notime", status=None)
    found = [line for line in log.splitlines()
             if COMPLAINT.search(line) and not HARMLESS.search(line)]
    check(not found, "the kernel complains:\n" + "\n".join(found[:10]))


def look_at_hardware(guest):
    listed = guest.command("lspci -nn")
    for wanted in ("8086:29c0", "8086:2918", "8086:2922", "1234:1111"):
        check(wanted in listed, f"lspci does not list {wanted}:\n{listed}")
    check("Capabilities: <access denied>" not in guest.command("lspci -vv"), "lspci -vv")
    check(re.search("[xe]hci", guest.command("lsusb -t"), re.I), "no USB host controller")
    check("Manufacturer" in guest.command("dmidecode -t system"), "dmidecode tells nothing")
    tables = guest.command("acpidump | grep -c '@ 0x'")
    check(int(tables) >= 5, f"{tables} ACPI tables")


def power_off(context, guest):
    guest.send("poweroff\n")
    check_equal(guest.wait(900), 0, "status after the guest powered off")


def grub(name, bus, fast=False, firmware=(), more=(), node="sda", vcpus=2):
    @case(name, fast=fast, own=True)
    def body(context):
        path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
        with Files() as files:
            guest = start_pc(context, path, bus, *firmware, *more, "--network",
                             "user,model=e1000", vcpus=vcpus)
            log_in(guest)
            check_equal(guest.command("nproc"), str(vcpus), "number of processors")
            root = guest.command("findmnt -no SOURCE /")
            check(root.startswith(f"/dev/{node}"), f"the root file system is on {root}")
            look_at_hardware(guest)
            if bus == "usb":  # and not by a slower companion, after minutes
                speed = "480M" if "usb,model=ehci" in more else "5000M"
                check(f"usb-storage, {speed}" in guest.command("lsusb -t"), "the USB disk is slow")
            look_at_log(guest)
            guest.command("for i in $(seq 60); do ip route | grep -q default && break; sleep 1; done",
                          quiet=120)
            guest.command(f"wget -q -O /tmp/file http://10.0.2.2:{files.port}/file", quiet=600)
            got = guest.command("sha256sum /tmp/file").split()[0]
            check_equal(got, hashlib.sha256(files.content).hexdigest(), "what was fetched")
            guest.command("dd if=/dev/urandom of=/var/noise bs=1M count=8 conv=fsync 2>/dev/null && "
                          "echo 3 > /proc/sys/vm/drop_caches && sha256sum /var/noise "
                          "> /var/noise.sum")
            power_off(context, guest)
            guest = start_pc(context, path, bus, *firmware, *more, vcpus=vcpus)
            log_in(guest)
            guest.command("sha256sum -c /var/noise.sum")
            power_off(context, guest)


@case("pc-sata-without-msi", fast=True, own=True)
def without_msi(context):
    """By the pin that the controller names, as for systems that know no messages."""
    path = context.blank_disk(8)
    content = random.Random(3).randbytes(8 << 20)
    path.write_bytes(content)
    guest = context.boot_to_shell(
        initrd=with_modules(context, "stock", ("ahci", "sd_mod")), cmdline="console=ttyS0 pci=nomsi",
        more=("--machine", "pc", "--disk", f"path={path},format=raw,bus=sata"))
    guest.command("sh /etc/more; for i in $(seq 100); do [ -b /dev/sda ] && break; sleep 0.1; done")
    got = guest.command("sha256sum </dev/sda", quiet=120).split()[0]
    check_equal(got, hashlib.sha256(content).hexdigest(), "what the guest read")
    pin = guest.command("grep ahci /proc/interrupts")
    check("IO-APIC" in pin and int(pin.split()[1]) > 8, f"interrupts: {pin}")
    context.power_off(guest)


UEFI = ("--boot", "uefi")
grub("pc-sata", "sata", fast=True)
grub("pc-sata-uefi", "sata", fast=True, firmware=UEFI)
grub("pc-ide", "ide")
grub("pc-ide-uefi", "ide", firmware=UEFI)
grub("pc-nvme", "nvme", fast=True, node="nvme0n1")
grub("pc-nvme-uefi", "nvme", firmware=UEFI, node="nvme0n1")
grub("pc-usb", "usb")
grub("pc-usb-uefi", "usb", firmware=UEFI)
EHCI = ("--controller", "usb,model=ehci")
grub("pc-usb-ehci", "usb", more=EHCI)
grub("pc-usb-ehci-uefi", "usb", firmware=UEFI, more=EHCI)
grub("pc-virtio", "virtio", fast=True, node="vda")
grub("pc-virtio-uefi", "virtio", firmware=UEFI, node="vda")
