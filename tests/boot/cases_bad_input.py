"""Input that cannot be used: one clear line, status 1, nothing written, the terminal as it was."""
import hashlib
import os
import subprocess
import time

import machine
from case import case, check, check_equal
from console import load_factor
from guest import initrd, kernel


class Trial:
    """Runs the program in a directory of its own and judges how it refuses."""

    def __init__(self, context):
        self._context = context
        self._directory = context.directory
        self.problems = []
        chosen = kernel.kernel("cloud")
        self.kernel, self.initrd = chosen.image, initrd.initrd(chosen)

    def file(self, name, data):
        path = self._directory / name
        path.write_bytes(data)
        return path

    def base(self, **changes):
        """A good command line; it names no engine, so that a test may."""
        return machine.Mynah(self._context.emulator.program).command(machine.Spec(
            **{"kernel": self.kernel, "initrd": self.initrd.plain, **changes}))

    def refuses(self, what, command, *words):
        """`command` must be refused with one line that holds each of `words`."""
        before = self._snapshot()
        program = subprocess.Popen(list(map(str, command)), cwd=self._directory, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        try:
            output, errors = program.communicate(timeout=20 * load_factor())
        except subprocess.TimeoutExpired:
            program.kill()
            output, _ = program.communicate()
            self.problems.append(f"{what}: not refused; printed {output[:200]!r}")
            return
        lines = errors.splitlines()
        if program.returncode != 1:
            self.problems.append(f"{what}: status {program.returncode}, said {errors[:300]!r}")
        elif len(lines) != 1 or output:
            self.problems.append(f"{what}: not one line but {errors[:500]!r} {output[:200]!r}")
        else:
            missing = [str(word) for word in words if str(word) not in lines[0]]
            if missing:
                self.problems.append(f"{what}: {lines[0]!r} does not name {missing}")
        if self._snapshot() != before:
            self.problems.append(f"{what}: wrote to the directory or a disk")

    def verdict(self):
        check(not self.problems, "\n  ".join(["", *self.problems]))

    def _snapshot(self):
        """Names, sizes, contents and times of the directory's files."""
        found = {}
        for path in sorted(self._directory.iterdir()):
            about = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[path.name] = (about.st_size, about.st_mtime_ns, digest)
        return found


@case("bad-kernel", own=True, fast=True)
def bad_kernel(context):
    trial = Trial(context)
    data = trial.kernel.read_bytes()
    busybox = initrd.busybox()
    elf = kernel.kernel("cloud").elf.read_bytes()
    directory = context.directory / "directory"
    directory.mkdir()
    missing = context.directory / "missing"
    candidates = [("missing kernel", missing), ("directory as kernel", directory),
                  ("empty kernel", trial.file("empty", b"")),
                  ("kernel cut in its first sector", trial.file("cut-a", data[:300])),
                  ("kernel cut in its header", trial.file("cut-b", data[:0x210])),
                  ("kernel cut in half", trial.file("cut-c", data[:len(data) // 2])),
                  ("kernel short of one page", trial.file("cut-d", data[:-4096])),
                  ("ELF kernel cut in half", trial.file("cut-e", elf[:len(elf) // 2])),
                  ("text as kernel", trial.file("text", b"This is not a kernel.\n" * 500)),
                  ("zeros as kernel", trial.file("zeros", bytes(1 << 20))),
                  ("a program as kernel", busybox)]
    for what, path in candidates:
        trial.refuses(what, trial.base(kernel=path), "--kernel", path.name)
    trial.refuses("no kernel at all", trial.base(kernel=None), "--kernel")
    trial.verdict()


@case("bad-initrd", own=True, fast=True)
def bad_initrd(context):
    trial = Trial(context)
    plain, packed = trial.initrd.plain.read_bytes(), trial.initrd.compressed.read_bytes()
    missing = context.directory / "missing"
    directory = context.directory / "directory"
    directory.mkdir()
    candidates = [("missing initrd", missing), ("directory as initrd", directory),
                  ("empty initrd", trial.file("empty", b"")),
                  ("initrd cut in half", trial.file("cut-a", plain[:len(plain) // 2])),
                  ("compressed initrd cut", trial.file("cut-b", packed[:len(packed) // 2])),
                  ("text as initrd", trial.file("text", b"This is not an archive.\n" * 500))]
    for what, path in candidates:
        trial.refuses(what, trial.base(initrd=path), "--initrd", path.name)
    huge = context.directory / "huge"
    with open(huge, "wb") as handle:
        handle.write(plain[:512])
        handle.truncate(200 << 20)
    trial.refuses("initrd larger than memory", trial.base(initrd=huge, memory="128M"), "huge")
    trial.verdict()


@case("bad-disk", own=True, fast=True)
def bad_disk(context):
    trial = Trial(context)
    directory = context.directory / "directory"
    directory.mkdir()
    qcow2 = b"QFI\xfb\0\0\0\x03" + bytes(65536 - 8)
    candidates = [("missing disk", context.directory / "missing"),
                  ("directory as disk", directory),
                  ("empty disk", trial.file("empty", b"")),
                  ("disk of part of a sector", trial.file("odd", bytes(100001))),
                  ("a format other than raw", trial.file("image", qcow2))]
    for what, path in candidates:
        trial.refuses(what, trial.base(disks=(path,)), "--disk", path.name)
    disk = trial.file("good", bytes(1 << 20))
    for what, value, word in (("misspelt key", f"pth={disk}", "pth"),
                              ("disk without a path", "format=raw", "path"),
                              ("unknown format", f"path={disk},format=floppy", "floppy"),
                              ("unknown bus", f"path={disk},bus=yellow", "yellow"),
                              ("unusable switch", f"path={disk},readonly=perhaps", "perhaps"),
                              ("empty value", "", "--disk")):
        trial.refuses(what, [*trial.base(), "--disk", value], "--disk", word)
    trial.verdict()


@case("bad-numbers", own=True, fast=True)
def bad_numbers(context):
    trial = Trial(context)
    for value in ("0", "0M", "-1", "-512M", "1K", "lots", "", "5X", "512MM", "1000000T",
                  "99999999999999999999999", "0x10000", "1e3", " "):
        trial.refuses(f"memory {value!r}", trial.base(memory=value), "--memory")
    for value in ("0", "-1", "100000", "99999999999999999999", "two", "1.5", "", "2,cores=0",
                  "4,cores=3", "2,corse=2"):
        trial.refuses(f"vcpus {value!r}", trial.base(vcpus=value), "--vcpus")
    for option in ("--time-limit", "--instruction-limit"):
        for value in ("-1", "soon", "", "99999999999999999999999"):
            trial.refuses(f"{option} {value!r}", [*trial.base(), option, value], option)
    trial.verdict()


@case("bad-options", own=True, fast=True)
def bad_options(context):
    trial = Trial(context)
    program = str(context.emulator.program)
    for typed, nearest in (("--memroy", "--memory"), ("--vcpu", "--vcpus"), ("--kernl", "--kernel"),
                           ("--diks", "--disk"), ("--cmdlin", "--cmdline")):
        trial.refuses(f"misspelt {typed}", [*trial.base(), typed, "1"], typed, nearest)
    trial.refuses("misspelt --memory=", [*trial.base(), "--memroy=1G"], "--memroy", "--memory")
    trial.refuses("unknown option", [*trial.base(), "--zzzzzzzzzz"], "--zzzzzzzzzz")
    trial.refuses("stray word", [*trial.base(), "stray"], "stray")
    trial.refuses("option without its value", [*trial.base(), "--serial"], "--serial")
    for option, value in (("--machine", "tractor"), ("--accel", "warp"), ("--cpu", "abacus"),
                          ("--serial", "nowhere"), ("--graphics", "crayon"),
                          ("--network", "pigeon"), ("--boot", "krnl=x")):
        trial.refuses(f"{option} {value}", [*trial.base(), option, value], option,
                      value.split("=")[0])
    trial.refuses("misspelt command", [program, "rnu"], "rnu", "run")
    trial.verdict()


@case("bad-input-leaves-no-trace", own=True, fast=True)
def no_trace(context):
    """A good disk beside a bad kernel is not touched, not even its times."""
    disk = context.ext4_disk(8)
    os.utime(disk, (time.time() - 1000,) * 2)
    before = (disk.stat().st_mtime_ns, hashlib.sha256(disk.read_bytes()).hexdigest())
    trial = Trial(context)
    trial.refuses("bad kernel with a good disk",
                  trial.base(kernel=context.directory / "missing", disks=(disk,)), "missing")
    after = (disk.stat().st_mtime_ns, hashlib.sha256(disk.read_bytes()).hexdigest())
    check_equal(after, before, "the disk")
    trial.verdict()
