"""Running one stage's programs: bounded in time, with a log, showing what matters."""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "test-logs"
HEARTBEAT_SECONDS = 60
CORES = os.cpu_count() or 1


class StageError(Exception):
    """A stage cannot go on; the text says why."""


class Runner:
    """Runs programs for one stage until its time is over."""

    def __init__(self, name, seconds):
        self.name = name
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{name}.log"
        self.log.write_text("")
        self._deadline = time.monotonic() + seconds

    def run(self, *command, show=False, environment=None):
        """(status, output) of a program; with `show` its lines appear as they come. It and all it
        started are killed when the stage's time is over."""
        command = [str(word) for word in command]
        with open(self.log, "a", encoding="utf-8", errors="replace") as log:
            log.write(f"\n$ {' '.join(command)}\n")
            log.flush()
            program = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       errors="replace", start_new_session=True,
                                       env=dict(os.environ, **(environment or {})))
            lines = []
            reader = threading.Thread(target=self._copy, args=(program, log, lines, show))
            reader.start()
            late = self._wait(program)
            reader.join(10)
        output = "".join(lines)
        if late:
            raise StageError(f"the time of this stage was over while {command[0]} ran")
        return program.returncode, output

    def must(self, *command, **more):
        """The output of a program that has to succeed."""
        status, output = self.run(*command, **more)
        if status != 0:
            raise StageError(f"{pathlib.Path(command[0]).name} ended with status {status}")
        return output

    def tail(self, lines=60):
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join("  | " + line for line in text[-lines:])

    @staticmethod
    def _copy(program, log, lines, show):
        for line in program.stdout:
            lines.append(line)
            log.write(line)
            log.flush()
            if show:
                print("  " + line, end="", flush=True)

    def _wait(self, program):
        """Whether the program had to be killed."""
        beat = time.monotonic() + HEARTBEAT_SECONDS
        while True:
            try:
                program.wait(1)
                return False
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if now > self._deadline:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
                return True
            if now > beat:
                print("  ...", file=sys.stderr, flush=True)
                beat = now + HEARTBEAT_SECONDS
