"""virtio's rings, transports and queues, and cards that come and go while the machine runs."""
import pathlib
import subprocess
import time

from case import case, check, check_equal
from cases_disk import sha256
from cases_network import Files, exchange, network_initrd, up

PACKED_BIT, IN_ORDER_BIT = 34, 35
HASH_REPORT_BIT, RSS_BIT = 57, 60


def negotiated(guest, device, bit):
    """Whether the driver accepted a feature; /sys has a character for each bit."""
    return guest.command(f"cat /sys/bus/virtio/devices/{device}/features")[bit] == "1"


def device_of(guest, kind):
    """The virtio device of a type (1: network, 2: block)."""
    return guest.command("cd /sys/bus/virtio/devices; for d in *; do "
                         f"[ $(($(cat $d/device))) = {kind} ] && echo $d; done; cd /").split()[0]


def work_on_disk(guest, node, path, power_off):
    """Random bytes through the ring and back, from several processes at once."""
    guest.command(f"for i in 0 1 2 3; do dd if=/dev/urandom of=/tmp/r$i bs=64k count=16 2>/dev/null; "
                  f"(dd if=/tmp/r$i of=/dev/{node} bs=4k seek=$((i*256)) conv=notrunc,fsync "
                  "2>/dev/null) & done; wait")
    wanted = guest.command("cat /tmp/r0 /tmp/r1 /tmp/r2 /tmp/r3 | sha256sum").split()[0]
    got = guest.command(f"echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/{node} bs=64k count=64 "
                        "2>/dev/null | sha256sum").split()[0]
    check_equal(got, wanted, "sha256 of what was written")
    power_off()
    check_equal(sha256(path), wanted, "sha256 of the disk")


@case("virtio-packed", fast=True, own=True)
def packed(context):
    """Debian's drivers choose the packed ring where it is offered: a disk and a card at work."""
    path = context.blank_disk(4)
    with Files() as files:
        guest = context.boot_to_shell(
            flavour="cloud", vcpus=2, initrd=network_initrd(context, "cloud", ("virtio_net",)),
            more=("--disk", f"path={path},packed=on", "--network", "user,packed=on,queues=2"))
        up(guest)
        for kind in (1, 2):
            check(negotiated(guest, device_of(guest, kind), PACKED_BIT),
                  f"the driver of type {kind} did not take the packed ring")
        check_equal(guest.command("ls /sys/class/net/eth0/queues | grep -c rx"), "2",
                    "queues that receive")
        exchange(guest, files)
        work_on_disk(guest, "vda", path, lambda: context.power_off(guest))


@case("virtio-queues", own=True)
def queues(context):
    """Queues as the operator says, a serial number of the operator's."""
    path = context.blank_disk(4)
    guest = context.boot_to_shell(flavour="cloud", vcpus=4,
                                  more=("--disk", f"path={path},queues=3,serial=box-of-rings"))
    check_equal(guest.command("ls /sys/block/vda/mq | wc -l"), "3", "queues of the disk")
    check_equal(guest.command("cat /sys/block/vda/serial"), "box-of-rings", "serial number")
    work_on_disk(guest, "vda", path, lambda: context.power_off(guest))


def pc_initrd(context, modules):
    return network_initrd(context, "stock", ("virtio_pci", *modules))


@case("virtio-legacy", fast=True, own=True)
def legacy(context):
    """Linux' driver of before version 1.0, at the ports of transitional cards."""
    path = context.blank_disk(4)
    with Files() as files:
        guest = context.boot_to_shell(
            vcpus=2, initrd=pc_initrd(context, ("virtio_net", "virtio_blk")),
            more=("--machine", "pc", "--disk", f"path={path},bus=virtio", "--network",
                  "user,model=virtio"))
        guest.command("rmmod virtio_pci && insmod /lib/modules/virtio_pci.ko force_legacy=1")
        up(guest)
        for kind in (1, 2):
            check(not negotiated(guest, device_of(guest, kind), 32),
                  f"the device of type {kind} is a modern one")
        exchange(guest, files)
        work_on_disk(guest, "vda", path, lambda: context.power_off(guest))


@case("virtio-vlan", own=True)
def vlan(context):
    """A VLAN of the guest's is let in because its driver asked the card for it."""
    with Files() as files:
        guest = context.boot_to_shell(
            flavour="stock", initrd=network_initrd(context, "stock", ("virtio_net", "8021q")),
            more=("--network", "user,queues=2"), vcpus=2)
        up(guest)
        guest.command("vconfig add eth0 5 && ifconfig eth0.5 192.168.5.1")
        exchange(guest, files)
        guest.command("vconfig rem eth0.5")
        exchange(guest, files)
        context.power_off(guest)


def mynah(context, *words):
    """Another command of the program, which must succeed."""
    answer = subprocess.run([str(context.emulator.program), *map(str, words)], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=120)
    check(answer.returncode == 0, f"mynah {words[0]}: status {answer.returncode}\n{answer.stdout}")


def wait_for(guest, condition, what):
    guest.command(f"for i in $(seq 300); do {condition} && break; sleep 0.1; done; {condition}",
                  quiet=120)
    check_equal(guest.command(f"{condition} && echo yes || echo no", status=None), "yes", what)


def holds_open(guest_pid, path):
    where = pathlib.Path(f"/proc/{guest_pid}/fd")
    return any(str(each.resolve()) == str(path) for each in where.iterdir())


@case("virtio-hotplug", fast=True, own=True)
def hotplug(context):
    """A disk and a card come while the machine runs, are used, go, and come again: Linux' native
    PCI Express hot plug, with no reboot and no rescan."""
    name = f"hot-{context.directory.name[-8:].lower()}"
    path = context.blank_disk(4)
    with Files() as files:
        guest = context.boot_to_shell(
            vcpus=2, initrd=pc_initrd(context, ("virtio_blk", "virtio_net")),
            more=("--machine", "pc", "--name", name))
        guest.command("sh /etc/net")
        check_equal(guest.command("ls /sys/bus/pci/slots | wc -l"), "4", "slots")
        wanted = None
        for round_ in range(2):
            mynah(context, "attach", name, "disk1", "--disk", f"path={path},serial=round{round_}")
            wait_for(guest, "[ -b /dev/vda ]", "the disk came")
            check_equal(guest.command("cat /sys/block/vda/serial"), f"round{round_}", "serial")
            if wanted is not None:
                got = guest.command("sha256sum /dev/vda").split()[0]
                check_equal(got, wanted, "what was written before the disk went")
            guest.command("dd if=/dev/urandom of=/dev/vda bs=64k count=64 conv=fsync 2>/dev/null")
            wanted = guest.command("sha256sum /dev/vda").split()[0]
            mynah(context, "attach", name, "card1", "--network", "user,packed=on")
            wait_for(guest, "[ -d /sys/class/net/eth0 ]", "the card came")
            up(guest)
            exchange(guest, files)
            mynah(context, "detach", name, "card1")
            mynah(context, "detach", name, "disk1")
            wait_for(guest, "[ ! -e /dev/vda ]", "the disk went")
            wait_for(guest, "[ ! -e /sys/class/net/eth0 ]", "the card went")
            for _ in range(50):
                if not holds_open(guest.process.pid, path):
                    break
                time.sleep(0.1)
            check(not holds_open(guest.process.pid, path), "the file of the disk is still open")
            check_equal(sha256(path), wanted, "sha256 of the disk's file")
        refused = subprocess.run([str(context.emulator.program), "attach", name, "disk1", "--disk",
                                  f"path={path}.missing"], text=True, capture_output=True)
        check(refused.returncode == 1 and ".missing" in refused.stderr,
              f"a disk that is not there: {refused.stderr}")
        context.power_off(guest)


@case("virtio-rss", own=True)
def rss(context):
    """Debian's driver sets up receive-side scaling, and hashes come with packets."""
    with Files() as files:
        guest = context.boot_to_shell(
            flavour="stock", initrd=network_initrd(context, "stock", ("virtio_net",)), vcpus=2,
            more=("--network", "user,queues=2,rss=on,hash=on"))
        up(guest)
        card = device_of(guest, 1)
        for bit in (RSS_BIT, HASH_REPORT_BIT):
            check(negotiated(guest, card, bit), f"the driver did not take feature {bit}")
        exchange(guest, files)
        context.power_off(guest)
