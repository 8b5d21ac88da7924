"""mynah doctor: virtio devices without a driver, and networks that do not work."""
import signal
import struct

from case import SHELL_PROMPT, case, check, check_equal
from cases_crash import tiny
from cases_doctor import causes, expect, forget, fresh_name
from cases_network import network_initrd

# The micro board's slots [src/machine/boards/micro_layout.h], and registers [virtio-1.2 4.2.2].
SLOTS, SLOT_BYTES = 0xfeb00000, 0x200
DRIVER_FEATURES, DRIVER_FEATURES_SEL, STATUS = 0x20, 0x24, 0x70
ACKNOWLEDGE, DRIVER, FEATURES_OK, FAILED = 1, 2, 8, 128
# The first slot has the random numbers, the next the card.
CARD = 1


def store(slot, register, value):
    """mov dword [register of the slot], value"""
    return b"\xc7\x05" + struct.pack("<II", SLOTS + slot * SLOT_BYTES + register, value)


def after(context, code, *more):
    """What doctor finds of a guest that ran `code` and then crashed."""
    name = fresh_name()
    # lidt with a limit of zero, and an exception: a triple fault at once.
    guest = context.start(tiny(context, code + b"\x0f\x01\x1d\x00\x00\x00\x00\x0f\x0b",
                               "--name", name, *more))
    check_equal(guest.wait(60), 2, "status")
    found = causes(context, name)
    forget(name)
    return found


@case("doctor-no-driver", own=True, fast=True)
def no_driver(context):
    """A kernel whose initrd has no driver for the card: the bus has seen it, nobody took it."""
    name = fresh_name()
    guest = context.boot_to_shell(flavour="cloud", more=("--name", name, "--network", "user"))
    guest.process.send_signal(signal.SIGKILL)
    guest.wait()
    found = causes(context, name)
    expect(found, "driver-not-loaded", "virtio-net 0 (slot 1)", "virtio-net driver not loaded",
           "bus has seen it", "modprobe virtio_net", "0x1 (ACKNOWLEDGE)")
    expect(found, "network-unused", "network 0 (user)", "0 frames sent")
    forget(name)


@case("doctor-driver-untouched", own=True, fast=True)
def untouched(context):
    expect(after(context, b"", "--network", "user"), "driver-not-loaded", "never left 0",
           "virtio-net 0 (slot 1)")


@case("doctor-driver-refused", own=True, fast=True)
def refused(context):
    """A driver of long ago, which knows no VERSION_1; and one that wants what nobody has."""
    begin = store(CARD, STATUS, ACKNOWLEDGE) + store(CARD, STATUS, ACKNOWLEDGE | DRIVER)
    ask = store(CARD, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK)
    found = after(context, begin + ask, "--network", "user")
    expect(found, "driver-refused", "driver did not take VERSION_1", "0x3 (ACKNOWLEDGE DRIVER)")
    high = store(CARD, DRIVER_FEATURES_SEL, 1)
    found = after(context, begin + high + store(CARD, DRIVER_FEATURES, 1 | 1 << 30) + ask +
                  store(CARD, STATUS, FAILED), "--network", "user")
    expect(found, "driver-refused", "asks for STANDBY, which the device did not offer", "FAILED")


@case("doctor-driver-failed", own=True, fast=True)
def failed(context):
    found = after(context, store(CARD, STATUS, ACKNOWLEDGE) + store(CARD, STATUS, DRIVER) +
                  store(CARD, STATUS, FAILED), "--network", "user")
    expect(found, "driver-failed", "does not offer what this driver needs")
    found = after(context, store(CARD, STATUS, ACKNOWLEDGE) + store(CARD, STATUS, DRIVER),
                  "--network", "user")
    expect(found, "driver-stuck", "has not agreed on features")


def network_guest(context, name, network):
    guest = context.start(context.spec(
        flavour="cloud", initrd=network_initrd(context, "cloud", ("virtio_net",)),
        more=("--name", name, "--network", network)))
    guest.expect(SHELL_PROMPT)
    guest.command("dmesg -n 1")
    guest.command("sh /etc/net; ifconfig eth0 up")
    return guest


@case("doctor-no-dhcp", own=True, fast=True)
def no_dhcp(context):
    """A cable whose other end is nobody's: questions go out, and nothing comes back."""
    name = fresh_name()
    guest = network_guest(context, name,
                          f"dgram={context.directory}/here,peer={context.directory}/nobody")
    guest.command("udhcpc -i eth0 -n -q -t 2 -T 1 -s /bin/true", status=1)
    found = causes(context, name)
    expect(found, "no-dhcp", "network 0 (dgram=", "nobody answered", "2 DISCOVER", "0 OFFER")
    check("driver-not-loaded" not in found, f"sees no driver: {found}")
    guest.send("\x01x")
    check_equal(guest.wait(), 0, "status")


@case("doctor-no-link", own=True, fast=True)
def no_link(context):
    """Nobody is at the other end; and one with an address, of which there is nothing to say."""
    name = fresh_name()
    guest = network_guest(context, name,
                          f"stream={context.directory}/end,server=on")
    expect(causes(context, name), "no-link", "network 0 (stream listening at", "other side",
           "link down")
    guest.send("\x01x")
    check_equal(guest.wait(), 0, "status")


@case("doctor-network-well", own=True, fast=True)
def network_well(context):
    name = fresh_name()
    guest = network_guest(context, name, "user")
    guest.command("udhcpc -i eth0 -n -q -t 20 -s /etc/udhcpc", quiet=300)
    found = causes(context, name)
    check(not found, f"finds something wrong where nothing is: {found}")
    guest.send("\x01x")
    check_equal(guest.wait(), 0, "status")
