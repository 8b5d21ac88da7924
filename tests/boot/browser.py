"""Chromium without a window, driven over its DevTools pipe."""
import base64
import json
import os
import select
import shutil
import subprocess
import time

from case import Skipped, check
from console import load_factor
from picture import read_png


class Browser:
    """One page. Everything it keeps is below `directory`."""

    PATIENCE = 120

    def __init__(self, directory, width=1500, height=1100):
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            raise Skipped("chromium is not installed")
        command = [program, "--headless", "--remote-debugging-pipe", "--no-first-run",
                   "--disable-gpu", "--disable-dev-shm-usage", "--force-device-scale-factor=1",
                   "--no-proxy-server", f"--window-size={width},{height}",
                   f"--user-data-dir={directory / 'browser'}"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def pipes():  # it reads from descriptor 3 and writes to 4
            kept = os.dup2(theirs_in, 10), os.dup2(theirs_out, 11)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        environment = dict(os.environ, HOME=str(directory))
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         close_fds=False, preexec_fn=pipes,
                                         start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)
        self._seen, self._number, self._session = b"", 0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _message(self, deadline):
        while b"\0" not in self._seen:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self._in, 1 << 16) if ready else b""
            check(data, "chromium ended" if ready else "chromium does not answer")
            self._seen += data
        text, self._seen = self._seen.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **parameters):
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._out, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + self.PATIENCE * load_factor()
        while True:
            message = self._message(deadline)
            if message.get("id") == self._number:
                check("result" in message, f"chromium: {method}: {message.get('error')}")
                return message["result"]

    def open(self, address):
        page = self.call("Target.createTarget", url=address)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=page,
                                  flatten=True)["sessionId"]

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", expression=expression,
                         returnByValue=True)["result"].get("value")

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                      clickCount=1)

    def type(self, text):
        """Small letters, digits, and line ends, key by key."""
        for letter in text:
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13,
                   "text": "\r"} if letter == "\n" else \
                {"key": letter, "text": letter, "windowsVirtualKeyCode": ord(letter.upper()),
                 "code": ("Digit" if letter.isdigit() else "Key") + letter.upper()}
            self.call("Input.dispatchKeyEvent", type="keyDown", **key)
            self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def picture(self):
        """What the page looks like."""
        return read_png(base64.b64decode(self.call("Page.captureScreenshot",
                                                   format="png")["data"]))
