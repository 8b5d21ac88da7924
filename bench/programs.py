"""Building the benchmark programs: one static file that holds them all."""
import hashlib
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE / "programs"
BUILD = HERE.parent / "build" / "bench"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-static", "-s")


def build():
    """The file `measure`; the same runs on the host and in the guests."""
    sources = sorted(SOURCES.rglob("*.c"))
    known = hashlib.sha256(repr(FLAGS).encode())
    for path in [*sources, *sorted(SOURCES.rglob("*.h"))]:
        known.update(path.name.encode() + path.read_bytes())
    program = BUILD / known.hexdigest()[:16] / "measure"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        part = program.with_suffix(".part")
        subprocess.run(["gcc", *FLAGS, "-o", part, *sources, "-lm", "-pthread"], check=True)
        part.rename(program)
    return program


def metrics(program):
    """["group/name"] of all programs in the file."""
    return subprocess.run([program, "list"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.splitlines()
