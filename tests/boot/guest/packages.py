"""Debian packages without root: a private package index over the system's own sources.

The private index keeps this independent of whether, and when, anybody last refreshed the
system's; it is refreshed once a day, and an old one serves while the network is away.
Names are written as for apt: name, or name:i386 for another architecture than amd64.
"""
import functools
import os
import pathlib
import re
import subprocess
import tempfile
import time

from . import cache

INDEX_SECONDS = 24 * 3600


class PackageError(Exception):
    """A package could not be found or fetched; the text names it."""


def architecture(name):
    return name.partition(":")[2] or "amd64"


def _index(arch):
    return cache.root() / ("apt" if arch == "amd64" else f"apt-{arch}")


def _options(arch="amd64"):
    state = _index(arch)
    for name in ("state/lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    status = state / "status"
    status.touch()
    options = ["-o", f"Dir::State={state}/state", "-o", f"Dir::State::status={status}",
               "-o", f"Dir::Cache={state}/cache", "-o", f"APT::Architecture={arch}",
               "-o", f"APT::Architectures={arch}"]
    if os.geteuid() == 0:
        # The unprivileged download user cannot write below root's home.
        options += ["-o", "APT::Sandbox::User=root"]
    return options


def _run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@functools.cache
def refresh_index(arch="amd64"):
    """Bring the private index up to date unless it was within the last day."""
    with cache.lock(_index(arch).name):
        stamp = _index(arch) / "refreshed"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < INDEX_SECONDS:
            return
        options = _options(arch)
        cache.say(f"refreshing the package index for {arch}")
        answer = _run("apt-get", *options, "-q", "update")
        if answer.returncode == 0 and "Failed to fetch" not in answer.stderr:
            stamp.touch()
        else:
            cache.say("the package index could not be refreshed completely; "
                      "using what is there")


@functools.cache
def control(name):
    """The control fields of the candidate version of `name` as {field: value}."""
    arch = architecture(name)
    refresh_index(arch)
    answer = _run("apt-cache", *_options(arch), "show", "--no-all-versions", name.split(":")[0])
    fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", answer.stdout, re.MULTILINE))
    if "Version" not in fields:
        raise PackageError(f"package {name}: not in the index of this machine's package sources")
    return fields


def version(name):
    return control(name)["Version"]


def real_package(meta, pattern):
    """The package that `meta` depends on and whose name matches `pattern`."""
    for alternative in re.split(r"[,|]", control(meta).get("Depends", "")):
        name = alternative.split()[0] if alternative.split() else ""
        if re.fullmatch(pattern, name):
            return name + meta[len(meta.split(":")[0]):]
    raise PackageError(f"package {meta}: depends on nothing that matches {pattern}")


def file_name(*parts):
    """A file name out of package names and versions."""
    return "-".join(re.sub(r"[^A-Za-z0-9.+~]+", "-", part) for part in parts)


def unpack(name, destination):
    """Fetch the candidate version of `name` and unpack its files below `destination`."""
    wanted = f"{name.split(':')[0]}={version(name)}"
    cache.say(f"fetching {wanted}")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache.root()) as scratch:
        answer = _run("apt-get", *_options(architecture(name)), "-q", "download", wanted,
                      cwd=scratch)
        archives = list(pathlib.Path(scratch).glob("*.deb"))
        if answer.returncode != 0 or len(archives) != 1:
            reason = answer.stderr.strip().splitlines()
            raise PackageError(f"package {wanted}: {reason[-1] if reason else 'no file came'}")
        answer = _run("dpkg-deb", "-x", str(archives[0]), str(destination))
        if answer.returncode != 0:
            raise PackageError(f"package {wanted}: {answer.stderr.strip()}")


def debian_source():
    """(address, suite) of the Debian archive among this machine's package sources."""
    refresh_index()
    form = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(SUITE)"
    answer = _run("apt-get", *_options(), "indextargets", "--format", form,
                  "Created-By: Packages")
    for line in answer.stdout.splitlines():
        origin, address, codename, _ = (line.split("|") + [""] * 4)[:4]
        if origin == "Debian" and codename.isalpha():
            return address, codename
    raise PackageError("this machine's package sources hold no Debian release")


def all_stanzas(arch="amd64"):
    """The index entries of all packages, candidates only."""
    refresh_index(arch)
    return _run("apt-cache", *_options(arch), "dumpavail").stdout


def with_dependencies(names, arch="amd64"):
    """(name, address) of these packages and of all that they depend on."""
    refresh_index(arch)
    answer = _run("apt-get", *_options(arch), "-q", "--yes", "--no-install-recommends",
                  "--print-uris", "--ignore-missing", "install", *names)
    found = re.findall(r"^'(\S+)' ([^_ ]+)_\S+ ", answer.stdout, re.MULTILINE)
    if answer.returncode != 0 or not found:
        raise PackageError(f"packages {' '.join(names)}: {answer.stderr.strip()}")
    return [(name, address) for address, name in found]
