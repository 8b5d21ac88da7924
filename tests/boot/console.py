"""A program on a pseudo-terminal, watched and driven as a person would: send, expect, wait."""
import errno
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

# Marks around a command's output. The typed line holds them broken by quotes, so that only what
# the guest prints matches, not the echo of what was typed.
_BEGIN, _END = '@@"begin"', '"@@"$?"@@"'
# A guest that says this stays silent for ever.
_HOPELESS = b"---[ end Kernel panic"
_ANSWER = re.compile(rb"@@begin\r*\n(.*?)@@(\d+)@@", re.DOTALL)


class ConsoleError(Exception):
    """What was expected did not happen; the text says what, and what was seen last."""


def load_factor():
    """How many times slower than alone a program may run now; never below one."""
    own = float(os.environ.get("MYNAH_TIME_SCALE", "1"))
    return own * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def terminal_size(descriptor, rows, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Console:
    """Runs `command` with a terminal of its own as its controlling terminal.

    Waiting is bounded twice: by the time without any output, which a slow machine does not
    exceed, and by a total. Both grow with the host's load.
    """

    QUIET_SECONDS = 240
    TOTAL_SECONDS = 1200

    def __init__(self, command, log=None, columns=160, rows=50, echo=None):
        self._master, slave = os.openpty()
        terminal_size(slave, rows, columns)
        self.attributes_before = termios.tcgetattr(slave)
        self.command_line = [str(word) for word in command]
        self._log = open(log, "ab") if log else echo
        self._seen = bytearray()   # everything so far
        self._mark = 0             # what expect() has consumed
        self._ended = False
        self.process = subprocess.Popen(
            self.command_line, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0))
        # Kept open, so that the terminal's attributes can be read after the program is gone.
        self._slave = slave

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._drain(0)
        for descriptor in (self._master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        self._master = self._slave = -1
        if self._log:
            self._log.close()

    def attributes(self):
        return termios.tcgetattr(self._slave)

    def resize(self, rows, columns):
        terminal_size(self._slave, rows, columns)
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGWINCH)

    def text(self):
        """Everything seen so far."""
        return self._seen.decode(errors="replace")

    def send(self, text):
        data = text.encode() if isinstance(text, str) else text
        deadline = time.monotonic() + 60 * load_factor()
        while data:
            # Output is taken meanwhile: a program that waits for us to read may not read itself.
            self._drain(0)
            _, ready, _ = select.select([], [self._master], [], 1)
            if ready:
                data = data[os.write(self._master, data[:256]):]
            elif time.monotonic() > deadline:
                raise ConsoleError(f"{self._name()}: takes no input")

    def expect(self, pattern, quiet=None, total=None):
        """Wait until `pattern` appears after what was matched last; the match of bytes."""
        compiled = re.compile(pattern.encode() if isinstance(pattern, str) else pattern,
                              re.DOTALL | re.MULTILINE)
        quiet, total = quiet or self.QUIET_SECONDS, total or self.TOTAL_SECONDS
        began = last = time.monotonic()
        while True:
            match = compiled.search(self._seen, self._mark)
            if match:
                self._mark = match.end()
                return match
            if self._seen.find(_HOPELESS, self._mark) >= 0:
                raise ConsoleError(f"{self._name()}: the guest's kernel panicked before "
                                   f"{pattern!r} came\n{self.tail(40)}")
            if self._ended:
                raise ConsoleError(f"{self._name()}: ended before {pattern!r} came\n{self.tail()}")
            if self._drain(0.5):
                last = time.monotonic()
            now, scale = time.monotonic(), load_factor()
            if now - last > quiet * scale:
                raise ConsoleError(f"{self._name()}: silent for {now - last:.0f} s while waiting "
                                   f"for {pattern!r}\n{self.tail()}")
            if now - began > total * scale:
                raise ConsoleError(f"{self._name()}: {pattern!r} did not come in "
                                   f"{now - began:.0f} s\n{self.tail()}")

    def see(self, pattern):
        """Wait until `pattern` is anywhere in what was printed so far; expect() goes on where it was."""
        mark, self._mark = self._mark, 0
        try:
            self.expect(pattern)
        finally:
            self._mark = mark

    def settle(self, pattern, silence):
        """Wait until `pattern` appears, or nothing has been printed for `silence` seconds."""
        try:
            self.expect(pattern, quiet=silence, total=24 * 3600)
        except ConsoleError:
            if self.process.poll() is not None:
                raise
            self._mark = len(self._seen)

    def command(self, line, quiet=None, total=None, status=0):
        """Run a line in the guest's shell; what it printed. Any other status is an error, unless
        `status` is None."""
        self.send(f"echo {_BEGIN}; {line}; echo {_END}\n")
        match = self.expect(_ANSWER.pattern, quiet, total)
        output = match[1].decode(errors="replace").replace("\r", "")
        if status is not None and int(match[2]) != status:
            raise ConsoleError(f"guest command {line!r}: status {int(match[2])}\n{output}")
        return output.strip("\n")

    def wait(self, total=300):
        """The exit status after the program ended by itself; minus the signal if one killed it."""
        deadline = time.monotonic() + total * load_factor()
        while self.process.poll() is None:
            self._drain(0.2)
            if time.monotonic() > deadline:
                raise ConsoleError(f"{self._name()}: did not end in {total} s\n{self.tail()}")
        self._drain(0)
        return self.process.returncode

    def tail(self, lines=15):
        return "\n".join("    | " + line for line in self.text().splitlines()[-lines:])

    def _name(self):
        return os.path.basename(self.command_line[0])

    def _drain(self, seconds):
        """Take what is there, waiting at most `seconds` for the first byte; whether some came."""
        came = False
        while self._master >= 0:
            ready, _, _ = select.select([self._master], [], [], seconds)
            if not ready:
                break
            try:
                data = os.read(self._master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                data = b""
            if not data:
                break
            came, seconds = True, 0
            self._seen += data
            if self._log:
                self._log.write(data)
                self._log.flush()
        # Our own copy of the terminal keeps it open, so the end shows in the process only.
        if not came and self.process.poll() is not None:
            self._ended = True
        return came
