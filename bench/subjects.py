"""What is measured: the host itself, Mynah's engines, and QEMU's translator as the peer."""
import pathlib
import re
import subprocess
import tempfile
import time

import console
import machine
from guest import initrd

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
LIBRARIES = {"gzip": ["-lz"]}
LINE = re.compile(r"^@@measure (.+) (\d+) ([0-9.]+) ([0-9a-f]{16})$", re.MULTILINE)
RATE = re.compile(r"\(([0-9.]+) million a second\)")   # of mynah's summary with --verbose
BOOT = "boot to /init"


class Broken(Exception):
    """A subject did not do its work, or did it wrong."""


def build_programs(where):
    """Compile every benchmark statically; the same files run on the host and in the guests."""
    common = PROGRAMS / "measure.c"
    built = []
    for source in sorted(PROGRAMS.glob("*.c")):
        if source == common:
            continue
        program = pathlib.Path(where) / source.stem
        subprocess.run(["gcc", "-O2", "-static", "-o", program, source, common,
                        *LIBRARIES.get(source.stem, [])], check=True)
        built.append(program)
    return built


def parse(text):
    """{name: (seconds a repetition, checksum)} of what the programs printed."""
    if "@@broken" in text:
        raise Broken("a benchmark program failed:\n" + text[-2000:])
    return {name: (float(seconds) / int(repetitions), checksum)
            for name, repetitions, seconds, checksum in LINE.findall(text)}


class Native:
    """The programs run as they are; there is no boot."""

    name = "native"

    def __init__(self, programs, seconds):
        self._programs, self._seconds = programs, seconds

    def measure(self):
        text = "".join(subprocess.run([program, str(self._seconds)], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout for program in self._programs)
        return parse(text)


class Guest:
    """Two machines a round: one that only boots, then one whose programs are timed."""

    def __init__(self, name, emulator, kernel, programs, seconds):
        self.name = name
        self.rates = []   # millions of instructions a second of the machines that only boot
        self._emulator, self._kernel = emulator, kernel
        self._programs, self._seconds = programs, seconds

    def measure(self):
        with tempfile.TemporaryDirectory() as scratch:
            image = self._initrd(scratch)
            boot, text = self._run(image, "/bin/true")
            if match := RATE.search(text):
                self.rates.append(float(match[1]))
            _, text = self._run(image, "/bench/run-all")
        results = parse(text)
        if len(results) != len(self._programs):
            raise Broken(f"{self.name}: only {sorted(results)} gave a result\n{text[-2000:]}")
        results[BOOT] = (boot, "")
        return results

    def _run(self, image, program):
        """(seconds from the start to the first line of /init, all that was printed)"""
        spec = machine.Spec(kernel=self._kernel.image, memory="512M", initrd=image,
                            cmdline=f"console=ttyS0 quiet mynah.run={program}",
                            more=("--verbose",))
        began = time.monotonic()
        with console.Console(self._emulator.command(spec)) as guest:
            guest.expect("mynah-init: up")
            boot = time.monotonic() - began
            guest.expect(f"mynah-init: {program} ended with status 0")
            guest.wait()
            return boot, guest.text().replace("\r", "")

    def _initrd(self, scratch):
        files = {"bench/run-all": ((HERE / "run-all.sh").read_bytes(), 0o755),
                 "bench/seconds": (f"{self._seconds}\n".encode(), 0o644)}
        files |= {f"bench/programs/{program.name}": (program.read_bytes(), 0o755)
                  for program in self._programs}
        path = pathlib.Path(scratch) / "initrd"
        path.write_bytes(initrd.initrd(self._kernel).plain.read_bytes() + initrd.overlay(files))
        return path
