"""The screen: typed at and looked at through VNC, a browser, and `mynah screenshot`."""
import contextlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import time

from browser import Browser
from case import Skipped, case, check, check_equal, run_tool
from cases_disk import log_in
from cases_pc import power_off, start_pc
from console import load_factor
from guest import disk, rootfs
from picture import difference, read_jpeg, read_png
from viewer import Viewer

NOVNC = pathlib.Path("/usr/share/novnc/vnc_lite.html")
PATIENCE = 120


def eventually(look, what, seconds=PATIENCE):
    """Until `look` returns something; what it returned."""
    deadline = time.monotonic() + seconds * load_factor()
    while True:
        found = look()
        if found:
            return found
        check(time.monotonic() < deadline, f"{what}: not after {seconds} s and more")
        time.sleep(0.5)


class Screen:
    """`mynah` commands about the machine of one test."""

    def __init__(self, context):
        self._context = context
        self.name = f"screen-{os.getpid()}-{random.randrange(1 << 30):x}"

    def mynah(self, *words):
        return subprocess.run([str(self._context.emulator.program), *map(str, words)], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE * load_factor())

    def shot(self):
        path = self._context.directory / "screen.png"
        answer = self.mynah("screenshot", self.name, path)
        check_equal((answer.returncode, answer.stdout), (0, ""), "mynah screenshot")
        return read_png(path.read_bytes())

    def snapshot(self, port):
        """By vncsnapshot, a program of its own; it compresses pictures."""
        path = self._context.directory / "screen.jpg"
        run_tool("vncsnapshot", "-quiet", "-quality", "100", "-vncQuality", "9",
                 f"127.0.0.1::{port}", path)
        return read_jpeg(path)


def port_of(guest, pattern):
    return int(guest.expect(pattern)[1])


def check_text(guest, picture):
    """The picture has ink exactly where the guest's text console has letters."""
    size = guest.command("od -An -tu1 -N4 /dev/vcsa1").split()
    rows, columns, cursor_x, cursor_y = map(int, size)
    text = guest.command(f"fold -b -w {columns} /dev/vcs1; echo").split("\n")[:rows]
    height, width = picture.height // rows, picture.width // columns
    check((width, height) == (8, 16), f"{columns}x{rows} letters on {picture.width}x"
          f"{picture.height} pixels")
    wrong = 0
    for y, line in enumerate(text):
        for x, letter in enumerate(line.ljust(columns)):
            if (x, y) != (cursor_x, cursor_y):
                inked = picture.part(x * width, y * height, width, height).ink() > 0
                wrong += inked != (letter != " ")
    check(wrong == 0, f"{wrong} letters of the screen look other than the guest's text")
    return "\n".join(text)


def type_at_login(guest, viewer):
    """What is typed at the screen's login prompt logs in and runs."""
    eventually(lambda: "login:" in guest.command("cat /dev/vcs1"), "a login prompt on the screen")
    viewer.type("root\n")
    eventually(lambda: "tty1" in guest.command("who", status=None), "a login on the screen")
    eventually(lambda: "root@guest:~#" in guest.command("cat /dev/vcs1"), "a shell on the screen")
    token = f"Typed_{random.randrange(1 << 40):X}"
    viewer.type(f"echo {token} > /tmp/typed; echo '{{~!|}}' \"$((6*7))\"\n")
    eventually(lambda: guest.command("cat /tmp/typed", status=None) == token, "what was typed")
    eventually(lambda: "{~!|} 42" in guest.command("cat /dev/vcs1"), "its output on the screen")


def start_debian(context, screen, *more):
    path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
    return start_pc(context, path, "sata", "--name", screen.name, *more)


@case("screen-vnc", own=True, fast=True)
def vnc(context):
    for tool in ("vncsnapshot", "djpeg"):
        if shutil.which(tool) is None:
            raise Skipped(f"{tool} is not installed")
    screen, path = Screen(context), context.directory / "vnc"
    guest = start_debian(context, screen, "--graphics", f"vnc,port=0,socket={path}")
    port = port_of(guest, rb"vnc at 127\.0\.0\.1:(\d+)")
    check(path.is_socket(), "no VNC socket")
    listed = screen.mynah("list").stdout
    check(re.search(rf"^{screen.name} +{guest.process.pid} +running$", listed, re.M), listed)
    log_in(guest)
    guest.command("setterm --blank 0 --term linux > /dev/tty1", status=None)
    with Viewer(port) as viewer:
        check_equal(viewer.name, screen.name, "name of the screen")
        eventually(lambda: "login:" in guest.command("cat /dev/vcs1"), "a login prompt")
        before = screen.shot()
        check("login:" in check_text(guest, before), "no login prompt")
        type_at_login(guest, viewer)
        # A cursor may blink between two pictures; nothing else differs.
        after = screen.shot()
        check("42" in check_text(guest, after), "the screen lacks what was typed")
        changed = difference(before, after)
        check(changed > 0.0005, f"a share of {changed} of the screen changed")
        for who, picture in (("viewer", viewer.picture()), ("vncsnapshot", screen.snapshot(port))):
            differs = difference(after, picture)
            check(differs < 0.0005, f"{who} and mynah screenshot: a share of {differs} differs")
    power_off(context, guest)
    check(screen.name not in screen.mynah("list").stdout, "it is still listed")


def canvas(browser):
    """Where in the page the screen is."""
    return browser.evaluate("""(() => {
        const canvas = document.querySelector('canvas');
        if (!canvas) return null;
        const place = canvas.getBoundingClientRect();
        return [place.x, place.y, canvas.width, canvas.height].map(Math.round);
    })()""")


@case("screen-browser", own=True)
def web(context):
    if not NOVNC.exists():
        raise Skipped("novnc is not installed")
    screen = Screen(context)
    with contextlib.ExitStack() as stack:
        browser = stack.enter_context(Browser(context.directory))
        guest = start_debian(context, screen, "--graphics", "vnc,port=0,websocket=0")
        port = port_of(guest, rb"http://127\.0\.0\.1:(\d+)/")
        log_in(guest)
        guest.command("setterm --blank 0 --term linux > /dev/tty1", status=None)
        eventually(lambda: "login:" in guest.command("cat /dev/vcs1"), "a login prompt")
        browser.open(f"http://127.0.0.1:{port}/{NOVNC.name}")
        seen = lambda: browser.picture().part(*canvas(browser))  # noqa: E731
        eventually(lambda: (canvas(browser) or [0])[-1] > 300, "the screen in the page")
        wanted = screen.shot()
        check_text(guest, wanted)
        eventually(lambda: difference(seen(), wanted) < 0.0005, "the same picture in the browser")
        x, y, *_ = canvas(browser)
        browser.click(x + 50, y + 50)
        browser.type("root\n")
        eventually(lambda: "tty1" in guest.command("who", status=None), "a login by the browser")
        eventually(lambda: "root@guest:~#" in guest.command("cat /dev/vcs1"), "a shell")
        eventually(lambda: difference(seen(), screen.shot()) < 0.0005,
                   "the same picture after the login")
        check(difference(wanted, screen.shot()) > 0.0005, "the screen did not change")
        power_off(context, guest)
