"""A small Debian archive for the installer, served to one guest over loopback.

It holds what an unattended installation needs and no more: the installer's parts (udebs), and the
packages of a minimal system with a kernel and GRUB. Everything comes from the archive that this
machine's package sources name, and is kept in the cache. Archives that keep a release without all
of its udebs exist; parts that are gone are taken from the next release (scripts, and programs that
need no newer C library) or packed from the ordinary package. The installer is told not to ask for
signatures, as nobody can sign such an archive.
"""
import concurrent.futures
import hashlib
import http.server
import lzma
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

from . import cache, packages

NEXT_SUITE = "trixie"
# Parts that may be taken from the next release, as they run with this release's C library.
FROM_NEXT = """apt-mirror-setup apt-setup-udeb clock-setup debootstrap-udeb di-utils-exit-installer
di-utils-mapdevfs disk-detect finish-install grub-installer nobootloader os-prober-udeb
partman-basicfilesystems partman-basicmethods partman-ext3 partman-partitioning partman-target
partman-utils tzsetup-udeb user-setup-udeb""".split()
# Parts that can be packed anew, from these packages.
REPACKED = {
    "dmidecode-udeb": ["dmidecode"],
    "dmsetup-udeb": ["dmsetup"],
    "dosfstools-udeb": ["dosfstools"],
    "e2fsprogs-udeb": ["e2fsprogs", "libext2fs2", "libcom-err2", "libss2"],
    "libdevmapper1.02.1-udeb": ["libdevmapper1.02.1"],
    "libmount1-udeb": ["libmount1"],
    "libparted2-udeb": ["libparted2"],
    "libparted-fs-resize0-udeb": ["libparted-fs-resize0"],
    "parted-udeb": ["parted"],
}
# What is installed, beyond what every Debian must have.
WANTED = """apt linux-image-amd64 initramfs-tools grub-pc systemd-sysv udev login passwd iproute2
ifupdown isc-dhcp-client kmod debian-archive-keyring usr-is-merged usrmerge busybox
console-setup keyboard-configuration locales eject pciutils laptop-detect tasksel os-prober
zstd debconf-i18n apt-utils""".split()
FIELD = re.compile(r"^([A-Za-z0-9-]+): *(.*)$", re.MULTILINE)


def _fetch(address):
    with urllib.request.urlopen(address, timeout=120) as answer:
        return answer.read()


def _served(address):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=60):
            return True
    except urllib.error.HTTPError:
        return False


def _stanzas(text):
    """{package: (fields, text)} of an index."""
    found = {}
    for text in text.split("\n\n"):
        fields = dict(FIELD.findall(text))
        if "Package" in fields:
            found.setdefault(fields["Package"], (fields, text.strip("\n")))
    return found


def _set_field(text, name, value):
    return re.sub(rf"^{name}: .*$", lambda _: f"{name}: {value}", text, flags=re.MULTILINE)


class Udebs:
    """The installer's parts: an index, and where each file comes from."""

    def __init__(self, archive, suite, present, folder):
        self._archive, self._folder = archive, folder
        self._present = present  # in the installer's initrd already
        self.addresses, self._texts = {}, {}
        here = self._index(suite)
        served = self._which_are_served(here)
        missing = [name for name in here if name not in served and name not in present]
        gone = dict.fromkeys(missing)
        for name in here:
            if name not in gone:
                self._add(name, *here[name])
        later = self._index(NEXT_SUITE) if missing else {}
        for name in missing:
            if name in REPACKED:
                self._repack(name, *here[name])
            elif name in FROM_NEXT and name in later:
                self._add(name, *later[name])

    def _index(self, suite):
        where = f"{self._archive}/dists/{suite}/main/debian-installer/binary-amd64/Packages.xz"
        return _stanzas(lzma.decompress(_fetch(where)).decode())

    def _which_are_served(self, index):
        names = [name for name in index if name not in self._present]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = pool.map(
                lambda name: _served(f"{self._archive}/{index[name][0]['Filename']}"), names)
            return {name for name, good in zip(names, answers) if good}

    def _add(self, name, fields, text):
        self._texts[name] = (fields, text)
        self.addresses[fields["Filename"]] = f"{self._archive}/{fields['Filename']}"

    def _repack(self, name, fields, text):
        """A udeb is a package without documentation and translations."""
        path = self._folder / pathlib.PurePath(fields["Filename"]).name
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            tree = pathlib.Path(scratch) / "tree"
            for package in REPACKED[name]:
                packages.unpack(package, tree)
            shutil.rmtree(tree / "usr/share", ignore_errors=True)
            (tree / "DEBIAN").mkdir()
            kept = [f"{field}: {fields[field]}" for field in ("Package", "Version", "Architecture",
                                                              "Maintainer") if field in fields]
            (tree / "DEBIAN/control").write_text("\n".join(kept) + "\nDescription: repacked\n")
            subprocess.run(["dpkg-deb", "-Zxz", "--root-owner-group", "--build", tree, path],
                           check=True, stdout=subprocess.DEVNULL)
        data = path.read_bytes()
        for field, value in (("Size", len(data)), ("SHA256", hashlib.sha256(data).hexdigest())):
            text = _set_field(text, field, value)
        self._texts[name] = (fields, text)
        self.addresses[fields["Filename"]] = path

    def index(self):
        """Without dependencies that nothing here meets, or on versions."""
        known = set(self._texts)
        for fields, _ in self._texts.values():
            known.update(word.split()[0] for word in fields.get("Provides", "").split(",") if word)
        texts = []
        for fields, text in self._texts.values():
            names = [re.split(r"[ (|]", word.strip())[0]
                     for word in fields.get("Depends", "").split(",")]
            kept = ", ".join(name for name in names if name in known)
            texts.append(_set_field(text, "Depends", kept) if kept
                         else re.sub(r"^Depends: .*\n", "", text, flags=re.MULTILINE))
        return "\n\n".join(texts) + "\n"


class Debs:
    """The packages of the system that is installed."""

    def __init__(self):
        everything = _stanzas(packages.all_stanzas())
        needed = [name for name, (fields, _) in everything.items()
                  if fields.get("Priority") == "required" or fields.get("Essential") == "yes"]
        self.addresses, texts = {}, []
        for name, address in packages.with_dependencies(sorted({*needed, *WANTED})):
            fields, text = everything[name]
            self.addresses[fields["Filename"]] = address
            texts.append(text)
        self._index = "\n\n".join(texts) + "\n"

    def index(self):
        return self._index


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802: the name that the library calls
        path = urllib.parse.unquote(self.path).lstrip("/").removeprefix("debian/")
        data = self.server.mirror.read(path)
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data or b"")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


class Mirror:
    """While it is entered it listens at `port` of 127.0.0.1."""

    def __init__(self, present):
        archive, self.suite = packages.debian_source()
        archive = archive.rstrip("/")
        self._folder = cache.root() / "mirror"
        self._folder.mkdir(exist_ok=True)
        with cache.lock("mirror"):
            udebs, debs = Udebs(archive, self.suite, present, self._folder), Debs()
        self._addresses = {**udebs.addresses, **debs.addresses}
        self._files = {}
        self._add_indices(udebs, debs)

    def _add_indices(self, udebs, debs):
        sums = []
        for name, source in (("main/debian-installer/binary-amd64/Packages", udebs),
                             ("main/binary-amd64/Packages", debs)):
            plain = source.index().encode()
            for ending, data in (("", plain), (".xz", lzma.compress(plain))):
                self._files[f"dists/{self.suite}/{name}{ending}"] = data
                sums.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}{ending}")
        # By its presence the installer knows that there is something for its architecture.
        self._files[f"dists/{self.suite}/main/binary-amd64/Release"] = (
            b"Archive: stable\nOrigin: Debian\nLabel: Debian\nVersion: 12\nComponent: main\n"
            b"Architecture: amd64\n")
        release = ["Origin: Debian", "Label: Debian", "Suite: stable", "Version: 12",
                   f"Codename: {self.suite}", "Architectures: amd64", "Components: main",
                   "Date: Sat, 10 Jun 2023 08:53:33 UTC", "SHA256:", *sums]
        data = ("\n".join(release) + "\n").encode()
        for suite in (self.suite, "stable"):
            self._files[f"dists/{suite}/Release"] = data

    def read(self, path):
        """The bytes of a file of the archive; None: it holds no such file."""
        if path in self._files:
            return self._files[path]
        source = self._addresses.get(path)
        if source is None:
            return None
        if isinstance(source, pathlib.Path):
            return source.read_bytes()
        kept = self._folder / pathlib.PurePath(path).name
        if not kept.exists():
            try:
                data = _fetch(source)
            except urllib.error.URLError:
                return None
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as handle:
                handle.write(data)
            pathlib.Path(handle.name).rename(kept)
        return kept.read_bytes()

    def __enter__(self):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.mirror = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
