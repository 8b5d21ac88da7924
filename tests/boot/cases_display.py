"""virtio-gpu and virtio-input: Debian's drivers draw the console, follow sizes, and hear keys."""
import random
import re
import struct

from case import case, check, check_equal
from cases_disk import log_in
from cases_pc import power_off
from cases_screen import (Screen, check_text, eventually, port_of, start_debian, type_at_login)
from modules import with_modules
from picture import difference
from viewer import Viewer

MODULES = ("virtio_pci", "virtio_mmio", "virtio_gpu", "virtio_input", "evdev")


def start(context, screen, *more, vcpus=1):
    guest = context.boot_to_shell(
        initrd=with_modules(context, "stock", MODULES), vcpus=vcpus,
        more=("--name", screen.name, "--graphics", "vnc,port=0", *more))
    port = int(re.search(rb"vnc at 127\.0\.0\.1:(\d+)", guest.text().encode())[1])
    guest.command("sh /etc/modules-load")
    eventually(lambda: "virtio_gpu" in guest.command("cat /proc/fb"), "the frame buffer")
    guest.command("printf '\\033[?25l\\033[2J' > /dev/tty1")
    return guest, port


def write_text(guest):
    token = f"On_screen_{random.randrange(1 << 40):X}"
    guest.command(f"for i in 1 2 3; do echo {token} $i > /dev/tty1; done")
    return token


def shows_text(guest, screen, token):
    def seen():
        picture = screen.shot()
        try:
            return token in check_text(guest, picture) and picture
        except AssertionError:
            return None  # it is being drawn
    return eventually(seen, "the guest's text on the screen", 30)


@case("gpu-micro", fast=True, own=True)
def micro(context):
    """Text and keys by virtio alone: a board without VGA, PS/2 or USB."""
    screen = Screen(context)
    guest, port = start(context, screen, "--video", "virtio,xres=1024,yres=768", "--input",
                        "keyboard", "--input", "tablet")
    check_equal(guest.command("cat /sys/class/graphics/fb0/virtual_size"), "1024,768", "frame buffer")
    token = write_text(guest)
    picture = shows_text(guest, screen, token)
    check_equal((picture.width, picture.height), (1024, 768), "size of the picture")
    with Viewer(port) as viewer:
        check(difference(picture, viewer.picture()) < 0.0005, "the viewer sees something else")
        # Keys as characters, through the console.
        word = f"Keys-{random.randrange(1 << 40):x}~|"
        guest.command("(head -n 1 < /dev/tty1 > /tmp/typed) & sleep 1")
        viewer.type(word + "\n")
        eventually(lambda: guest.command("cat /tmp/typed", status=None) == word, "what was typed")
        # And as events: time, type, code, value.
        event = guest.command("for e in /sys/class/input/event*; do grep -q 'Virtio Keyboard' "
                              "$e/device/name && basename $e; done; true")
        guest.command(f"(dd if=/dev/input/{event} of=/tmp/events bs=24 count=4 2>/dev/null) & sleep 1")
        viewer.type("a")
        eventually(lambda: guest.command("stat -c %s /tmp/events 2>/dev/null", status=None) == "96",
                   "events")
        dump = guest.command("od -An -v -tx1 /tmp/events")
        events = struct.iter_unpack("<qqHHi", bytes.fromhex("".join(dump.split())))
        check_equal([event[2:] for event in events], [(1, 30, 1), (0, 0, 0), (1, 30, 0), (0, 0, 0)],
                    "events of the key A")
        # A smaller screen, as the viewer likes it.
        viewer.wish(800, 600)
        eventually(lambda: viewer.picture().width == 800, "the other size")
        modes = guest.command("cat /sys/class/drm/card0-Virtual-1/modes").split()
        check_equal(modes[0], "800x600", "the preferred mode")
    context.power_off(guest)


@case("gpu-pc", own=True)
def pc(context):
    """A card of its own, beside no VGA."""
    screen = Screen(context)
    guest, _ = start(context, screen, "--machine", "pc", "--video", "virtio,vga=off")
    shows_text(guest, screen, write_text(guest))
    context.power_off(guest)


def debian(name, *firmware):
    """The VGA's picture until the driver comes, then the GPU's: firmware, GRUB, Debian."""
    @case(name, own=True)
    def body(context):
        screen = Screen(context)
        guest = start_debian(context, screen, "--graphics", "vnc,port=0", "--video", "virtio",
                             *firmware)
        port = port_of(guest, rb"vnc at 127\.0\.0\.1:(\d+)")
        eventually(lambda: screen.shot().ink() > 100, "something on the screen before Linux")
        log_in(guest)
        check("1af4:1050" in guest.command("lspci -nn"), "no virtio GPU")
        guest.command("modprobe virtio_gpu")
        eventually(lambda: "virtio_gpu" in guest.command("cat /proc/fb"), "the driver's console")
        guest.command("setterm --blank 0 --cursor off --term linux > /dev/tty1", status=None)
        with Viewer(port) as viewer:
            type_at_login(guest, viewer)
            picture = screen.shot()
            check("42" in check_text(guest, picture), "the screen lacks what was typed")
            check(difference(picture, viewer.picture()) < 0.0005, "the viewer sees something else")
        power_off(context, guest)


debian("gpu-debian")
debian("gpu-debian-uefi", "--boot", "uefi")
