"""The stages of scripts/test, one after the other; the last line counts every test."""
import argparse
import concurrent.futures
import pathlib
import re
import shutil
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fuzz")]

import corpus  # noqa: E402
import tally  # noqa: E402
from stage import CORES, LOGS, ROOT, Runner, StageError  # noqa: E402

FUZZ_SECONDS = 10
RACES_SECONDS = 5
RACES_TESTS = ("base_test", "memory_test", "cpu_test", "bus_test", "backend_test", "device_test")
ONE = tally.Tally(passed=1)

# Sanitized programs run several times slower; what only compares results with the silicon at
# length gains nothing there.
SANITIZER_EXCLUDES = "^(silicon.*|torture|layers)$"


def layers(runner, options):
    print("  " + runner.must("scripts/check-layers").strip())
    return ONE


def documents(runner, options):
    print("  " + runner.must("scripts/check-docs").strip())
    return ONE


def build(runner, preset, *targets):
    """Build everything of a preset, or these targets; a warning is a failure."""
    runner.must("cmake", "--preset", preset)
    wanted = ("--target", *targets) if targets else ()
    output = runner.must("cmake", "--build", "--preset", preset, "-j", CORES, *wanted)
    warnings = sorted({line for line in output.splitlines() if "warning:" in line})
    if warnings:
        print("\n".join("  " + line for line in warnings[:20]))
        raise StageError(f"{len(warnings)} compiler warnings")
    return ONE


def unit_tests(runner, preset, *more):
    """ctest, counting the cases of GoogleTest programs."""
    cases = LOGS / f"{runner.name}-cases"
    shutil.rmtree(cases, ignore_errors=True)
    cases.mkdir()
    junit = cases / "ctest"
    status, output = runner.run("ctest", "--test-dir", ROOT / "build" / preset, "-j", CORES,
                                "--output-on-failure", "--output-junit", junit, *more,
                                environment={"GTEST_OUTPUT": f"xml:{cases}/"})
    if not junit.exists():
        raise StageError(f"ctest ended with status {status} and no result")
    counted = tally.from_ctest(junit, cases)
    last = ROOT / "build" / preset / "Testing" / "Temporary" / "LastTest.log"
    for line in last.read_text(errors="replace").splitlines() if last.exists() else ():
        if re.search(r"\bseed\b", line, re.IGNORECASE):
            print("  " + line.strip())
    for name in tally.failures(junit):
        print(f"  failed: {name}")
    if status != 0 and not counted.failed:
        counted.failed += 1
    if counted.failed:
        shown = failed_cases(output)
        print("\n".join("  | " + line for line in shown) if shown else runner.tail())
    return counted


def failed_cases(output):
    """The lines of the GoogleTest cases that failed, without those that passed around them."""
    shown, current = [], []
    for line in output.splitlines():
        if "[ RUN      ]" in line:
            current = []
        current.append(line)
        if re.search(r"\[  FAILED  \] \S+ \(\d+ ms\)", line):
            shown += current[-60:]
            current = []
        elif "[       OK ]" in line:
            current = []
    return shown[:400]


def release_build(runner, options):
    return build(runner, "release")


def release_tests(runner, options):
    return unit_tests(runner, "release")


def sanitizer_build(runner, options):
    return build(runner, "asan")


def sanitizer_tests(runner, options):
    return unit_tests(runner, "asan", "-E", SANITIZER_EXCLUDES)


def races_build(runner, options):
    return build(runner, "tsan", "mynah-torture", *RACES_TESTS)


def races(runner, options):
    """ThreadSanitizer: unit tests with threads, and four processors that torture each other."""
    programs = ROOT / "build" / "tsan" / "bin"
    commands = [[programs / name] for name in RACES_TESTS]
    commands += [[programs / "mynah-torture", "--seconds", RACES_SECONDS, "--vcpus", 4,
                  "--engine", engine] for engine in ("jit", "interpreter")]
    counted = tally.Tally()
    for command in commands:
        status, output = runner.run(*command)
        counted += tally.Tally(passed=status == 0, failed=status != 0)
        if status != 0:
            print(f"  {command[0].name}: status {status}")
            print("\n".join("  | " + line for line in output.splitlines()[-60:]))
    return counted


def fuzz_build(runner, options):
    return build(runner, "fuzz")


def fuzz_targets():
    sources = sorted((ROOT / "src").rglob("*_fuzz.cpp"))
    return [(source.stem, ROOT / "build" / "fuzz" / "bin" / source.stem) for source in sources]


def fuzz_one(runner, name, program):
    """None if the target survived, else what to show."""
    if not program.exists():
        return f"{name}: was not built"
    scratch = LOGS / "fuzz" / name
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "found").mkdir(parents=True)
    corpora = [scratch / "found", scratch / "kept"]
    corpus.unpack(name, corpora[1])
    if name.endswith("_image_fuzz"):  # nothing is found in an image that does not begin as one
        seeded, _ = runner.run("tests/images/seeds", name, scratch / "seeds")
        if seeded != 0:
            return f"{name}: tests/images/seeds failed"
        corpora.append(scratch / "seeds")
    status, output = runner.run(program, f"-max_total_time={FUZZ_SECONDS}", "-timeout=10",
                                "-rss_limit_mb=2048", f"-artifact_prefix={scratch}/",
                                "-print_final_stats=1", *corpora)
    if status == 0:
        return None
    tail = "\n".join("  | " + line for line in output.splitlines()[-40:])
    return f"{name}: status {status}\n{tail}"


def fuzz(runner, options):
    targets = fuzz_targets()
    if not targets:
        raise StageError("there is no fuzz target")
    counted = tally.Tally()
    with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
        for problem in pool.map(lambda target: fuzz_one(runner, *target), targets):
            counted += tally.Tally(passed=problem is None, failed=problem is not None)
            if problem:
                print(f"  {problem}")
    print(f"  {len(targets)} targets, {FUZZ_SECONDS} s each")
    return counted


def runner_script(runner, *command):
    """A runner of this project that prints its own counts as its last line."""
    status, output = runner.run(*command, show=True)
    counted = tally.from_summary(output)
    if counted is None:
        raise StageError(f"{command[0]} ended with status {status} and no counts")
    if status != 0 and not counted.failed:
        counted.failed += 1
    return counted


def boots(runner, options):
    return runner_script(runner, "tests/boot/run", *(["--all"] if options.all else []))


def interpreter_boots(runner, options):
    """The matrix on the other engine; of the subset what differs most between engines."""
    chosen = ["--all"] if options.all else [word for name in
                                            ("boot-reboot", "clock", "disk-raw-blocks", "crash")
                                            for word in ("--only", name)]
    return runner_script(runner, "tests/boot/run", "--accel", "interpreter", *chosen)


def images(runner, options):
    return runner_script(runner, "tests/images/run", *(["--count", "10"] if options.all else []))


def selftests(runner, options):
    return runner_script(runner, "tests/selftests/run")


# name, what runs, its limit in minutes; the limits are for a loaded machine, not what is expected.
STAGES = (("layers", layers, 1), ("documents", documents, 1),
          ("release-build", release_build, 20), ("release-tests", release_tests, 15),
          ("boots", boots, 30), ("interpreter-boots", interpreter_boots, 15),
          ("images", images, 12), ("selftests", selftests, 20),
          ("sanitizer-build", sanitizer_build, 20), ("sanitizer-tests", sanitizer_tests, 15),
          ("races-build", races_build, 20), ("races", races, 10),
          ("fuzz-build", fuzz_build, 20), ("fuzz", fuzz, 15))
MATRIX_FACTOR = 4
# What runs programs of a build is pointless, and would judge old ones, when that build failed.
NEEDS = {"release-tests": "release-build", "boots": "release-build",
         "interpreter-boots": "release-build", "images": "release-build",
         "selftests": "release-build",
         "sanitizer-tests": "sanitizer-build", "races": "races-build",
         "fuzz": "fuzz-build"}


def run_stage(name, body, minutes, options):
    print(f"== {name}", flush=True)
    began = time.monotonic()
    runner = Runner(name, minutes * 60 * (MATRIX_FACTOR if options.all else 1))
    try:
        counted = body(runner, options)
    except StageError as problem:
        print(f"  {problem}; from {runner.log.relative_to(ROOT)}:")
        print(runner.tail())
        counted = tally.Tally(failed=1)
    print(f"== {name}: {counted} ({time.monotonic() - began:.0f} s)", flush=True)
    return counted


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[name for name, _, _ in STAGES])
    parser.add_argument("--all", action="store_true", help="the whole matrix of boots")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(name for name, _, _ in STAGES))
        return 0
    total, broken = tally.Tally(), set()
    for name, body, minutes in STAGES:
        if options.only and name not in options.only:
            continue
        if NEEDS.get(name) in broken:
            print(f"== {name}: not run, since {NEEDS[name]} failed")
            total += tally.Tally(failed=1)
            continue
        counted = run_stage(name, body, minutes, options)
        if counted.failed:
            broken.add(name)
        total += counted
    print(total)
    return 1 if total.failed else 0


sys.exit(main())
