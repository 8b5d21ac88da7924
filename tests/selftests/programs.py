"""The kernel's x86 self-tests, built from Debian's kernel source package into the cache."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from guest import cache, packages

# Loaded by name while a program runs, so no list of needed libraries tells it.
ALSO_NEEDED = ("libgcc_s.so.1",)
COMPILERS = {"_32": "-m32", "_64": "-m64"}


def built():
    """The directory of the finished programs: <name>_32 and <name>_64, and lib/ with what they
    load, at the paths where they look for it."""
    meta = "linux-source"
    try:
        name = packages.real_package(meta, r"linux-source-[0-9.]+")
        key = packages.file_name(name, packages.version(name), _compiler_version(), _ours())
    except packages.PackageError:
        directory = cache.newest("selftests")
        if directory is None:
            raise
        return directory
    return cache.artefact("selftests", key, lambda where: _build(name, where))


def names(directory):
    return sorted(path.name for path in directory.glob("*_[36][24]") if os.access(path, os.X_OK))


def libraries(directory):
    """{path in the guest: file} of the libraries the programs load."""
    return {str(path.relative_to(directory / "lib")): path
            for path in (directory / "lib").rglob("*") if path.is_file()}


def _compiler_version():
    return subprocess.run(["gcc", "-dumpfullversion"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def _ours():
    return hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:12]


def _build(package, where):
    tree = where / "tree"
    packages.unpack(package, tree)
    archive = next((tree / "usr" / "src").glob("*.tar.*"))
    cache.say("building the kernel's x86 self-tests")
    subprocess.run(["tar", "-xf", archive, "-C", tree, "--wildcards",
                    "*/tools/testing/selftests/x86", "*/tools/testing/selftests/*.h",
                    "*/tools/testing/selftests/*.mk", "*/tools/scripts",
                    "*/arch/x86/include/asm/desc_defs.h"],
                   check=True, stdin=subprocess.DEVNULL)
    sources = next(tree.glob("*/tools/testing/selftests/x86"))
    with open(where / "build.log", "wb") as log:
        status = subprocess.run(["make", "-C", sources, f"OUTPUT={where}", f"-j{os.cpu_count()}"],
                                stdin=subprocess.DEVNULL, stdout=log,
                                stderr=subprocess.STDOUT).returncode
    shutil.rmtree(tree)
    # The Makefile leaves a size out when the compiler cannot make it: that is no success either.
    if status != 0 or not all(any(name.endswith(size) for name in names(where))
                              for size in COMPILERS):
        tail = (where / "build.log").read_text(errors="replace").splitlines()[-10:]
        raise packages.PackageError("the self-tests could not be built:\n" + "\n".join(tail))
    for name in names(where):
        _take_libraries(where / name, where / "lib")


def _take_libraries(program, into):
    listed = subprocess.run(["ldd", program], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout
    found = set(re.findall(r"(?:=> )?(/\S+) \(0x", listed))
    for name in ALSO_NEEDED:
        answer = subprocess.run(["gcc", COMPILERS[program.name[-3:]], f"-print-file-name={name}"],
                                text=True, stdout=subprocess.PIPE).stdout.strip()
        if answer.startswith("/"):
            found.add(str(pathlib.Path(answer).resolve().parent / name))
    for file in found:
        # Dynamic linkers look below /lib, whatever the compiler calls the place.
        place = into / _run_time_place(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pathlib.Path(file).resolve(), place)


def _run_time_place(file):
    path = pathlib.Path(os.path.normpath(file))
    text = str(path)
    if "/gcc/" in text or text.startswith("/usr/lib32") or text.startswith("/lib32"):
        place = "lib32" if ("/32/" in text or "lib32" in text) else "lib/x86_64-linux-gnu"
        return pathlib.Path(place) / path.name
    return pathlib.Path(text.removeprefix("/usr").lstrip("/"))
