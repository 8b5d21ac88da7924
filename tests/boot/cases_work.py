"""Heavy work inside a Debian guest: compile, compute, encrypt, keep a database. What comes out must
be what the host gets."""
import hashlib
import random
import re
import shutil
import subprocess
import tarfile

from case import Skipped, case, check, check_equal
from cases_disk import log_in
from guest import packages
from machine import ROOT

PROGRAMS = ROOT / "bench" / "programs"
COMPILE = "gcc -std=gnu11 -O2 -static -o measure $(find programs -name '*.c') -lm -pthread"
MEASURE_SECONDS = "0.01"
PYTHON_TESTS = ("test_float", "test_math", "test_cmath", "test_long", "test_struct", "test_decimal",
                "test_fractions", "test_statistics")
DATA_BYTES = 4 << 20
ROWS = 10000


def at_work(context, *files, vcpus=2):
    """A Debian guest with tools, logged in, in a directory that holds `files`, which came as an
    archive on a second disk."""
    archive = context.directory / "files.tar"
    with tarfile.open(archive, "w") as tar:
        for path in files:
            tar.add(path, arcname=path.name)
    try:
        root = context.debian_disk(kind="work")
    except packages.PackageError as problem:
        raise Skipped(f"the image with tools could not be made: {problem}") from problem
    guest = context.start(context.spec(flavour="cloud", disks=(root, archive), vcpus=vcpus,
                                       memory="1G", cmdline="console=ttyS0 root=/dev/vda"))
    log_in(guest)
    guest.command("mkdir /var/work && cd /var/work && tar -xf /dev/vdb")
    return guest


def leave(guest):
    guest.send("poweroff\n")
    check_equal(guest.wait(900), 0, "status after the guest powered off")


def checksums(text):
    return dict(re.findall(r"^@@measure (.+) \d+ [0-9.]+ ([0-9a-f]{16})$", text, re.MULTILINE))


@case("work-compile")
def compile_and_run(context):
    """The benchmark programs, compiled in the guest and run there, compute what they compute when
    compiled and run on the host: integers, doubles, x87, vectors, code that writes code."""
    guest = at_work(context, PROGRAMS)
    guest.command(COMPILE, quiet=1200)
    text = guest.command(f"./measure {MEASURE_SECONDS} all", quiet=600, total=3600)
    leave(guest)
    shutil.copytree(PROGRAMS, context.directory / "programs")
    subprocess.run(COMPILE, shell=True, check=True, cwd=context.directory)
    host = subprocess.run(["./measure", MEASURE_SECONDS, "all"], check=True, text=True,
                          stdout=subprocess.PIPE, cwd=context.directory).stdout
    got, wanted = checksums(text), checksums(host)
    skipped = set(re.findall(r"^@@skipped (.+)$", text, re.MULTILINE))
    check(len(got) >= 25, f"only {sorted(got)} gave a result")
    check(not set(wanted) - set(got) - skipped, f"missing: {sorted(set(wanted) - set(got))}")
    different = {name: (got[name], wanted[name]) for name in got.keys() & wanted.keys()
                 if got[name] != wanted[name]}
    check(not different, f"the guest computes something else than the host: {different}")


@case("work-python-tests")
def python_tests(context):
    """Python's own tests of floating point, of integers of any size and of decimals."""
    guest = at_work(context)
    text = guest.command(f"python3 -m test {' '.join(PYTHON_TESTS)}; echo status $?",
                         quiet=1800, total=7200)
    leave(guest)
    check(re.search(r"^status 0$", text, re.MULTILINE), f"python3 -m test failed:\n{text[-3000:]}")
    check(re.search(rf"All {len(PYTHON_TESTS)} tests OK", text), f"not all ran:\n{text[-2000:]}")


@case("work-openssl")
def openssl(context):
    """Digests and ciphers of data are the host's, signatures can be verified, and the speed test
    goes through its rounds driven by a timer's signal."""
    data = context.directory / "data"
    data.write_bytes(random.Random(3).randbytes(DATA_BYTES))
    guest = at_work(context, data)
    for name in ("sha256", "sha512", "sha1", "md5", "sha3-256", "blake2b512"):
        wanted = hashlib.new(name.replace("b512", "b").replace("3-", "3_"), data.read_bytes())
        got = guest.command(f"openssl dgst -{name} data").split()[-1]
        check_equal(got, wanted.hexdigest(), f"{name} of the same data")
    options = f"-K {'0123456789abcdef' * 2} -iv {'00' * 16} -nosalt"
    for cipher in ("aes-128-cbc", "aes-128-ctr", "chacha20"):
        key = options.replace("-K ", "-K " + "fedcba9876543210" * 2) if cipher == "chacha20" \
            else options
        packed = guest.command(f"openssl enc -{cipher} {key} -in data -out packed && "
                               "sha256sum < packed").split()[0]
        if host := shutil.which("openssl"):
            text = subprocess.run([host, "enc", f"-{cipher}", *key.split(), "-in", data],
                                  check=True, stdout=subprocess.PIPE).stdout
            check_equal(packed, hashlib.sha256(text).hexdigest(), f"{cipher} of the same data")
        guest.command(f"openssl enc -d -{cipher} {key} -in packed | cmp - data")
    guest.command("openssl genrsa -out key 2048 2>/dev/null && openssl rsa -in key -pubout -out "
                  "public 2>/dev/null && openssl dgst -sha256 -sign key -out signature data",
                  quiet=900)
    check_equal(guest.command("openssl dgst -sha256 -verify public -signature signature data"),
                "Verified OK", "a signature made in the guest")
    text = guest.command("openssl speed -seconds 1 sha256 aes-128-cbc rsa2048 ecdsap256 "
                         "2>/dev/null", quiet=600, total=1800)
    leave(guest)
    for name, columns in (("sha256", 6), ("aes-128-cbc", 6)):
        line = re.search(rf"^{name}\s+(.*)$", text, re.MULTILINE)
        check(line, f"openssl speed tells nothing of {name}:\n{text}")
        speeds = [float(word.rstrip("k")) for word in line[1].split()]
        check(len(speeds) == columns and min(speeds) > 0, f"openssl speed: {line[0]}")
    check("rsa 2048 bits" in text and "ecdsa" in text, f"openssl speed:\n{text}")


SQL = f"""
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT UNIQUE, amount INTEGER, price REAL);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
  INSERT INTO item SELECT i, 'name-' || ((i * 7919) % 1000003), i * i % 1009, i / 8.0 FROM n;
COMMIT;
CREATE INDEX by_amount ON item(amount);
UPDATE item SET amount = amount + 5 WHERE id % 3 = 0;
DELETE FROM item WHERE id % 10 = 0;
VACUUM;
"""


def database_rows():
    """What SQL leaves behind, by plain arithmetic."""
    return [(number, f"name-{number * 7919 % 1000003}",
             number * number % 1009 + (5 if number % 3 == 0 else 0), number / 8)
            for number in range(1, ROWS + 1) if number % 10 != 0]


@case("work-sqlite")
def sqlite(context):
    """Inserts, each its own transaction on the disk for some of them, and a check of the whole."""
    script = context.directory / "work.sql"
    single = "".join(f"INSERT INTO log VALUES({number}, hex({number} * 3));\n"
                     for number in range(200))
    script.write_text(f"{SQL}CREATE TABLE log(id INTEGER, text TEXT);\n{single}")
    guest = at_work(context, script)
    guest.command("sqlite3 -bail work.db < work.sql", quiet=900)
    guest.command("sync; echo 3 > /proc/sys/vm/drop_caches")
    check_equal(guest.command("sqlite3 work.db 'PRAGMA integrity_check'"), "ok", "integrity check")
    rows = database_rows()
    wanted = f"{len(rows)}|{sum(row[2] for row in rows)}|{sum(row[3] for row in rows)}"
    got = guest.command("sqlite3 work.db 'SELECT count(*), sum(amount), sum(price) FROM item'")
    check_equal(got, wanted, "sums over the table")
    names = "".join(row[1] + "\n" for row in sorted(rows, key=lambda row: (row[2], row[1])))
    got = guest.command("sqlite3 work.db 'SELECT name FROM item ORDER BY amount, name' | sha256sum")
    check_equal(got.split()[0], hashlib.sha256(names.encode()).hexdigest(), "rows in order")
    check_equal(guest.command("sqlite3 work.db 'SELECT count(*), max(id) FROM log'"), "200|199",
                "single inserts")
    leave(guest)
