"""A directory of finished artefacts, outside the tree, that several programs may use at once.

An artefact is a directory whose name says everything it was made from (kind and package versions),
so it never changes once it is there: it is built under another name and renamed into place, and a
lock per artefact keeps two programs from doing the same work twice.
"""
import contextlib
import fcntl
import os
import pathlib
import shutil
import sys
import tempfile
import time

KEEP_UNUSED_SECONDS = 30 * 24 * 3600


def say(text):
    """One line of progress for a person; never on standard output, which belongs to answers."""
    print(f"guest-images: {text}", file=sys.stderr, flush=True)


def root():
    """Where artefacts live: MYNAH_CACHE, or mynah/ in the user's cache directory."""
    chosen = os.environ.get("MYNAH_CACHE")
    if not chosen:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        chosen = os.path.join(base, "mynah")
    path = pathlib.Path(chosen)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(name):
    """Exclusive among processes; released by the kernel if the holder dies."""
    directory = root() / "locks"
    directory.mkdir(exist_ok=True)
    with open(directory / name, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another program that is making {name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def artefact(kind, key, build):
    """The directory of `kind` for `key`; if it is missing, build(directory) fills it first."""
    final = root() / f"{kind}_{key}"
    if not final.is_dir():
        with lock(kind):
            if not final.is_dir():
                _build_into(final, build)
                _forget_unused(kind, final)
    os.utime(final)
    return final


def newest(kind):
    """The artefact of `kind` used last, or None: what remains when the network is gone."""
    found = [path for path in root().glob(f"{kind}_*") if path.is_dir()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _build_into(final, build):
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=".making-", dir=root()))
    try:
        build(scratch)
        scratch.chmod(0o755)
        scratch.rename(final)
    finally:
        if scratch.exists():
            shutil.rmtree(scratch, ignore_errors=True)


def _forget_unused(kind, current):
    """Old versions go a month after their last use; long enough for whoever still runs one."""
    horizon = time.time() - KEEP_UNUSED_SECONDS
    for pattern in (f"{kind}_*", ".making-*"):
        for path in root().glob(pattern):
            if path != current and path.stat().st_mtime < horizon:
                shutil.rmtree(path, ignore_errors=True)
