"""What is measured: the host itself, Mynah's engines, and QEMU's translator as the peer."""
import dataclasses
import pathlib
import re
import shlex
import subprocess
import sys
import time

import applications
import console
import machine
import memory
from guest import initrd

LINE = re.compile(r"^@@measure (.+) (\d+) ([0-9.]+) ([0-9a-f]{16})$", re.MULTILINE)
RATE = re.compile(r"\(([0-9.]+) million a second\)")   # of mynah's summary with --verbose
# Of the first, unpacking is part; what mynah unpacked it keeps, so that later boots do without.
BOOT_FIRST, BOOT_STOCK = "boot/bzImage, the first time", "boot/bzImage, later"
BOOT_ELF = "boot/unpacked ELF file by PVH"
GUEST_MEBIBYTES = 512
# A guest whose clock runs at another speed than the host's makes its times worthless.
CLOCK_TOLERANCE, CLOCK_SLACK_SECONDS = 0.03, 0.7
SILENCE_SECONDS = 90   # of a machine, which the host's load stretches; then it has hung
LOGS = machine.ROOT / "build" / "bench"
ONE_PROCESSOR, TWO_PROCESSORS = ("compute", "kernel", "applications", "cold"), ("smp",)


@dataclasses.dataclass
class Plan:
    """What to measure and with what."""

    measure: pathlib.Path       # the file with all programs
    directory: pathlib.Path     # where the applications' data lie
    applications: list          # the chosen ones
    metrics: list               # all chosen "group/name"
    kernel: object
    seconds: float              # for one metric
    initrds: dict = dataclasses.field(default_factory=dict)

    def group(self, *names):
        return [each for each in self.metrics if each.split("/")[0] in names]

    def commands(self, groups, program):
        """Command lines, to be run in the directory of the data."""
        lines = []
        own = {each.metric: each.words for each in self.applications}
        chosen = self.group(*groups)
        if linked := [metric for metric in chosen if metric not in own]:
            lines.append([program, str(self.seconds), "programs", *linked])
        return lines + [[program, str(self.seconds), "command", metric, *own[metric]]
                        for metric in chosen if metric in own]


def readable(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def show(subject, metric, seconds):
    print(f"  {subject:18} {metric:48} {readable(seconds):>8}", file=sys.stderr, flush=True)


def parse(subject, text, problems):
    """{metric: (seconds a repetition, checksum)} of what the programs printed; what failed goes to
    `problems`, and the rest still counts."""
    for problem in re.findall(r"^@@broken (.*)$", text, re.MULTILINE):
        problems.append(f"{subject}: {problem}")
        print(f"  {problems[-1]}", file=sys.stderr, flush=True)
    found = {}
    for metric, _, seconds, checksum in LINE.findall(text):
        found[metric] = (float(seconds), checksum)
        show(subject, metric, float(seconds))
    return found


class Native:
    """The programs run as they are; there is no boot."""

    name = "native"

    def __init__(self, plan):
        self.problems = []
        self._plan = plan

    def measure(self):
        results = {}
        for line in self._plan.commands((*ONE_PROCESSOR, *TWO_PROCESSORS),
                                        str(self._plan.measure)):
            answer = subprocess.run(line, check=False, text=True, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, cwd=self._plan.directory,
                                    env=applications.ENVIRONMENT)
            results |= parse(self.name, answer.stdout, self.problems)
        return results


class Guest:
    """Machines that only boot, one whose programs are timed, and one with two processors."""

    def __init__(self, name, emulator, plan):
        self.name = name
        self.rates = []    # millions of instructions a second of the machines that only boot
        self.memory = []   # KiB beyond the guest's own
        self.problems = []
        self._emulator, self._plan = emulator, plan
        self._kept = False   # the unpacked kernel, by mynah

    def measure(self):
        results, plan = {}, self._plan
        for metric, image in ((BOOT_FIRST, plan.kernel.image), (BOOT_STOCK, plan.kernel.image),
                              (BOOT_ELF, plan.kernel.elf)):
            if metric in plan.metrics:
                keeps = self._emulator.name == "mynah"
                more = ("--kernel-cache", "off") if keeps and metric == BOOT_FIRST else ()
                if keeps and metric == BOOT_STOCK and not self._kept:
                    self._boot(image, more)   # the one after which others are later
                    self._kept = True
                results[metric] = (self._boot(image, more), "")
                show(self.name, metric, results[metric][0])
        for groups, vcpus in ((ONE_PROCESSOR, 1), (TWO_PROCESSORS, 2)):
            if lines := plan.commands(groups, "/bench/measure"):
                try:
                    self._programs(lines, vcpus, results)
                except console.ConsoleError as problem:
                    self.problems.append(f"{self.name}: {problem}")
        return results

    def _boot(self, image, more):
        """Seconds from the program's start to the first line of /init."""
        began = time.monotonic()
        with self._start(image, initrd.initrd(self._plan.kernel).plain, "/bin/true", 1,
                         more) as guest:
            guest.expect("mynah-init: up", quiet=SILENCE_SECONDS)
            boot = time.monotonic() - began
            guest.expect("mynah-init: /bin/true ended with status 0")
            guest.wait()
            if match := RATE.search(guest.text()):
                self.rates.append(float(match[1]))
            return boot

    def _programs(self, lines, vcpus, results):
        """Runs command lines in one machine; adds what they measured to `results`."""
        image = self._initrd(lines)
        text = ""
        # The unpacked kernel starts faster on the peer, and what runs on it later is the same.
        with self._start(self._plan.kernel.elf, image, "/bench/go", vcpus) as guest:
            guest.expect(r"@@begin [^\n]*\n", quiet=SILENCE_SECONDS)
            began = time.monotonic()
            while not text.startswith("@@end"):
                text = guest.expect(r"@@(measure|skipped|broken|end) [^\n]*\n",
                                    quiet=SILENCE_SECONDS)[0].decode().replace("\r", "")
                results |= parse(self.name, text, self.problems)
            passed = time.monotonic() - began
            self.memory.append(self._beyond_guest(guest.process.pid, image))
            guest.send("\n")
            guest.expect("mynah-init: /bench/go ended with status 0")
            guest.wait()
            text = guest.text()
        self._check_clock(text, passed)

    def _beyond_guest(self, process, image):
        """KiB. QEMU keeps the initrd besides the copy in the guest's memory; this one is far larger
        than a usual one, so that does not count."""
        found = memory.beyond_guest(process, self._emulator.name, GUEST_MEBIBYTES << 10)
        kept = image.stat().st_size >> 10 if self._emulator.name == "qemu" else 0
        return max(found - kept, 0)

    def _check_clock(self, text, passed):
        first, last = (float(re.search(rf"@@{word} ([0-9.]+)", text)[1])
                       for word in ("begin", "end"))
        if abs(last - first - passed) > passed * CLOCK_TOLERANCE + CLOCK_SLACK_SECONDS:
            self.problems.append(f"{self.name}: the guest saw {last - first:.2f} s pass, the host "
                                 f"{passed:.2f} s")

    def _start(self, image, archive, program, vcpus, more=()):
        spec = machine.Spec(kernel=image, memory=f"{GUEST_MEBIBYTES}M", initrd=archive, vcpus=vcpus,
                            cmdline=f"console=ttyS0 quiet mynah.run={program}",
                            more=("--verbose", *more))
        LOGS.mkdir(parents=True, exist_ok=True)
        return console.Console(self._emulator.command(spec),
                               log=LOGS / f"{self.name.replace(' ', '-')}.log")

    def _initrd(self, lines):
        """Made once for each kind of machine."""
        plan = self._plan
        commands = "\n".join(shlex.join(line) for line in lines)
        if commands not in plan.initrds:
            values = " ".join(f"{key}={value}" for key, value in applications.ENVIRONMENT.items())
            script = f"#!/bin/busybox sh\ncd /bench\nexport {values}\n" \
                     'echo "@@begin $(/bin/cut -d " " -f 1 /proc/uptime)"\n' + commands + \
                     '\necho "@@end $(/bin/cut -d " " -f 1 /proc/uptime)"\nread -r line\n'
            files = {"bench/go": (script.encode(), 0o755),
                     "bench/measure": (plan.measure.read_bytes(), 0o755)}
            if chosen := [each for each in plan.applications
                          if any(each.metric in line for line in lines)]:
                files |= applications.files(chosen, plan.directory)
                files |= {f"bench/{path.name}": (path.read_bytes(), 0o644)
                          for path in plan.directory.iterdir() if path.is_file()}
            path = plan.directory / "initrds" / str(len(plan.initrds))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(initrd.initrd(plan.kernel).plain.read_bytes() + initrd.overlay(files))
            plan.initrds[commands] = path
        return plan.initrds[commands]
