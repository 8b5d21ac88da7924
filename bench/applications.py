"""Programs people use, from the host's own packages: the same files run on the host and, with the
libraries they name, in the guests. What the host does not have is left out."""
import hashlib
import pathlib
import random
import re
import shutil
import struct
import subprocess

SOURCES = pathlib.Path(__file__).resolve().parent / "applications"
COMPILED = SOURCES.parent / "programs" / "compute" / "integer_core.c"
SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
ENVIRONMENT = {"PATH": SYSTEM_PATH, "LC_ALL": "C", "HOME": "/"}

# Group and name in the table, program, arguments. Files are those of data(). What is cold runs much
# code few times: a compiler, and programs that do nothing but start.
COMMANDS = (
    ("applications/gzip", "gzip", "-6 -n -c text"),
    ("applications/gunzip", "gzip", "-d -n -c text.gz"),
    ("applications/xz", "xz", "-1 -T1 -c text"),
    ("applications/zstd", "zstd", "-3 -T1 --single-thread -q -c text text text"),
    ("applications/awk", "mawk", "-f work.awk text"),
    ("applications/python", "python3", "-I -S -B work.py"),
    ("applications/sqlite", "sqlite3", "-batch -init work.sql :memory: .exit"),
    ("applications/openssl sha256", "openssl", "dgst -sha256 bytes bytes bytes bytes bytes bytes"),
    ("applications/openssl aes-128-cbc", "openssl", "enc -aes-128-cbc -nosalt -in bytes "
                                       "-K 00112233445566778899aabbccddeeff "
                                       "-iv 0102030405060708090a0b0c0d0e0f10"),
    ("cold/compiler", "cc1", "-fpreprocessed -quiet -O2 -o - work.i"),
    ("cold/starting programs", "dash", "start.sh"),
)
STARTED = ("gzip", "xz", "mawk", "sqlite3", "openssl")   # by applications/start.sh
TEXT_BYTES, RANDOM_BYTES = 1 << 20, 6 << 20


class Application:
    """One command; `words` begin with the program's full path."""

    def __init__(self, metric, program, arguments):
        self.metric = metric
        self.words = [str(program), *arguments.split()]

    def programs(self):
        """It, and those it starts."""
        also = STARTED if self.words[-1] == "start.sh" else ()
        return [pathlib.Path(self.words[0]), *(pathlib.Path(_find(name)) for name in also)]


def installed():
    """(applications whose program the host has, names of programs it has not)"""
    found, missing = [], []
    for metric, program, arguments in COMMANDS:
        if path := _find(program):
            found.append(Application(metric, path, arguments))
        else:
            missing.append(program)
    return found, missing


def _find(program):
    if program == "cc1":   # of gcc, in a directory of its own
        program = subprocess.run(["gcc", "-print-prog-name=cc1"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout.strip()
    return shutil.which(program, path=SYSTEM_PATH)


def data(directory):
    """Write what the commands read into `directory`; equal bytes every time."""
    directory = pathlib.Path(directory)
    for source in SOURCES.iterdir():
        shutil.copy(source, directory)
    (directory / "text").write_bytes(_text())
    (directory / "bytes").write_bytes(random.Random(2).randbytes(RANDOM_BYTES))
    packed = subprocess.run(["gzip", "-6", "-n", "-c", directory / "text"], check=True,
                            stdout=subprocess.PIPE).stdout
    (directory / "text.gz").write_bytes(packed * 6)
    subprocess.run(["gcc", "-E", "-o", directory / "work.i", COMPILED], check=True)


def _text():
    """Lines of words, few of them common, as in a language."""
    choose = random.Random(1)
    words = ["".join(choose.choices("etaoinshrdlucmfwypvbgkjqxz", range(26, 0, -1),
                                    k=choose.randint(2, 9))) for _ in range(3000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    lines, size = [], 0
    while size < TEXT_BYTES:
        lines.append(" ".join(choose.choices(words, weights, k=choose.randint(4, 14))))
        size += len(lines[-1]) + 1
    return ("\n".join(lines)[:TEXT_BYTES - 1] + "\n").encode()


def files(applications, directory):
    """What a guest needs besides `directory`: {path: (bytes, mode)}."""
    wanted = {}
    for each in applications:
        for program in each.programs():
            for path in [program, *libraries(program)]:
                wanted[str(path).lstrip("/")] = (path.read_bytes(), 0o755)
        if each.words[-1] == "work.py":
            wanted |= _python_modules(each, directory)
        if any(program.name == "openssl" for program in each.programs()):
            configuration = pathlib.Path("/usr/lib/ssl/openssl.cnf")
            if configuration.exists():
                wanted[str(configuration).lstrip("/")] = (configuration.read_bytes(), 0o644)
    return wanted


def libraries(program):
    """Files the dynamic loader takes for `program`, and the loader itself."""
    answer = subprocess.run(["ldd", program], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout
    return [pathlib.Path(path) for path in
            re.findall(r"^\s*(?:\S+ => )?(/\S+) \(0x", answer, re.MULTILINE)]


def _python_modules(each, directory):
    """The modules the script loads, with their compiled forms. Files of an initrd carry no time, so
    none is what the compiled form has to name as its source's [CPython, Doc/library/py_compile]."""
    show = ("import sys; exec(open('work.py').read()); print(sys.prefix, *(module.__spec__.origin "
            "for module in list(sys.modules.values()) if getattr(module, '__spec__', None) "
            "and module.__spec__.has_location), sep='\\n')")
    options = each.words[1:-1]
    output = subprocess.run([each.words[0], *options, "-c", show], cwd=directory, check=True,
                            text=True, stdout=subprocess.PIPE, env=ENVIRONMENT).stdout
    prefix, *origins = output[output.index("\n") + 1:].split()   # behind the script's own line
    wanted = {}
    for origin in map(pathlib.Path, origins):
        wanted[str(origin).lstrip("/")] = (origin.read_bytes(), 0o644)
        for compiled in (origin.parent / "__pycache__").glob(f"{origin.stem}.cpython-*.pyc"):
            if re.search(r"cpython-\d+\.pyc$", compiled.name):
                code = compiled.read_bytes()
                code = code[:8] + struct.pack("<I", 0) + code[12:]
                wanted[str(compiled).lstrip("/")] = (code, 0o644)
    # The interpreter looks for these two to know where its library is.
    version = re.search(r"/(python\d+\.\d+)/", "\n".join(origins))[1]
    wanted[f"{prefix.lstrip('/')}/lib/{version}/lib-dynload/.keep"] = (b"", 0o644)
    landmark = pathlib.Path(prefix) / "lib" / version / "os.py"
    if landmark.exists():
        wanted[str(landmark).lstrip("/")] = (landmark.read_bytes(), 0o644)
    return wanted


def versions(applications):
    """A digest of the programs, since the numbers depend on them."""
    sums = hashlib.sha256()
    for each in applications:
        sums.update(pathlib.Path(each.words[0]).read_bytes())
    return sums.hexdigest()[:12]
