"""vhost-user: other people's back ends behind our front end."""
import contextlib
import hashlib
import json
import random
import shutil
import socket as socketlib
import subprocess
import threading
import time

from case import Skipped, case, check, check_equal, run_tool
from cases_network import network_initrd
from guest import initrd, kernel

STORAGE_DAEMON = "qemu-storage-daemon"
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def need(program):
    found = shutil.which(program)
    if found is None:
        raise Skipped(f"{program} is not installed")
    return found


class BackEnd:
    """A process that listens at a socket; it can be killed and started again."""

    def __init__(self, words, socket, log):
        self.words, self.socket, self.log = [str(word) for word in words], socket, log
        self.process = None

    def start(self):
        self.socket.unlink(missing_ok=True)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out)
        for _ in range(600):
            if self.socket.exists():
                return
            check(self.process.poll() is None, f"{self.words[0]} ended: {self.log.read_text()}")
            time.sleep(0.05)
        check(False, f"{self.words[0]} does not listen")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def storage_daemon(context, image, socket, queues=1):
    return BackEnd([need(STORAGE_DAEMON),
                    "--blockdev", f"driver=file,node-name=file,filename={image}",
                    "--blockdev", "driver=raw,node-name=disk,file=file",
                    "--export", f"type=vhost-user-blk,id=export,addr.type=unix,addr.path={socket},"
                                f"node-name=disk,writable=on,num-queues={queues}"],
                   socket, context.directory / "back-end.log")


def read_and_write(context, guest, image):
    """What the host wrote the guest reads, and the other way round, to the byte."""
    check_equal(guest.command("blockdev --getsize64 /dev/vda"), str(image.stat().st_size), "size")
    got = guest.command("dd if=/dev/vda bs=64k 2>/dev/null | sha256sum").split()[0]
    check_equal(got, sha256(image.read_bytes()), "sha256 of what the guest read")
    guest.command("dd if=/dev/urandom of=/tmp/data bs=512 count=4095 2>/dev/null")
    guest.command("dd if=/tmp/data of=/dev/vda bs=512 seek=17 conv=notrunc,fsync 2>/dev/null")
    wanted = guest.command("sha256sum </tmp/data").split()[0]
    context.power_off(guest)
    check_equal(sha256(image.read_bytes()[17 * 512:][:4095 * 512]), wanted,
                "sha256 of what the guest wrote")


def disk(context, serve, **fields):
    image = context.directory / "disk.img"
    image.write_bytes(random.Random(1).randbytes(8 << 20))
    socket = context.directory / "disk.sock"
    with serve(context, image, socket):
        more = ("--disk", f"vhost-user={socket}", *fields.pop("more", ()))
        guest = context.boot_to_shell(more=more, **fields)
        read_and_write(context, guest, image)


@case("vhost-disk-storage-daemon", fast=True, own=True)
def disk_storage_daemon(context):
    """QEMU's storage daemon runs a disk of the micro board."""
    disk(context, storage_daemon, flavour="cloud", vcpus=2)


@case("vhost-disk-storage-daemon-pc", own=True)
def disk_storage_daemon_pc(context):
    """The same on the PC, with four queues."""
    disk(context, lambda *where: storage_daemon(*where, queues=4), flavour="stock", vcpus=4,
         more=("--machine", "pc"))


@case("vhost-device-generic", own=True)
def device_generic(context):
    """A disk again, as a device of which nothing is known but its type."""
    image = context.directory / "disk.img"
    image.write_bytes(random.Random(1).randbytes(8 << 20))
    socket = context.directory / "disk.sock"
    with storage_daemon(context, image, socket):
        guest = context.boot_to_shell(
            flavour="cloud", more=("--device", f"vhost-user,type=2,socket={socket}"))
        read_and_write(context, guest, image)


@case("vhost-bad-input", fast=True, own=True)
def bad_input(context):
    """A back end that is not there, or is none: one line that names the option and the path."""
    nobody, mute = context.directory / "nobody", context.directory / "mute"
    with socketlib.socket(socketlib.AF_UNIX) as listener:
        listener.bind(str(mute))
        listener.listen()
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        for words, wanted in (
                (("--disk", f"vhost-user={nobody}"), f"--disk vhost-user={nobody}"),
                (("--disk", f"vhost-user={mute}"), f"--disk vhost-user={mute}"),
                (("--network", f"vhost-user={nobody}"), f"--network vhost-user={nobody}"),
                (("--network", f"switch={nobody}"), f"--network switch: {nobody}"),
                (("--filesystem", f"socket={nobody},tag"), f"--filesystem socket={nobody}"),
                (("--filesystem", f"socket={nobody}"), "the tag is missing"),
                (("--device", "vhost-user,type=99,socket=/a"), "type=99: expected 1 to 63")):
            answer = subprocess.run(
                [context.emulator.program, "run", "--machine", "pc", "--boot", "hd", *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=300)
            check_equal(answer.returncode, 1, f"status with {words}")
            check(wanted in answer.stdout and answer.stdout.count("\n") == 1,
                  f"{words}: {answer.stdout}")


def killed(context, serve, kills=3, option="--disk=vhost-user={}"):
    """The back end is killed and started again while the guest writes: the guest notices nothing,
    and nothing is lost."""
    image = context.ext4_disk(64)
    socket = context.directory / "disk.sock"
    with serve(context, image, socket) as back_end:
        guest = context.boot_to_shell(flavour="cloud", vcpus=2,
                                      cmdline="console=ttyS0 mount=/dev/vda",
                                      more=(option.format(socket),))
        guest.send("i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); cp /bin/busybox /mnt/f$((i % 9)) "
                   "|| echo @@failed; [ $((i % 3)) = 0 ] && sync; echo @@round-$i; "
                   f"[ $i = {6 * kills + 12} ] && touch /tmp/stop; done; sync; echo @@over\n")
        chance = random.Random(time.time())
        for kill in range(kills):
            guest.expect(rf"@@round-{6 * kill + 3}\b")
            time.sleep(chance.uniform(0, 0.2))
            back_end.kill()
            time.sleep(chance.uniform(0, 0.5))
            back_end.start()
            # A fast guest may be through before; what is said of it is not to be among its answers.
            guest.see(f"(.*the back end is back){{{kill + 1}}}")
        text = guest.expect("@@over\r")
        check("@@failed" not in str(text), "a copy failed in the guest")
        guest.command("echo 3 >/proc/sys/vm/drop_caches")
        check_equal(guest.command("cat /bin/busybox | sha256sum").split()[0],
                    guest.command("cat /mnt/f4 | sha256sum").split()[0], "a file on the disk")
        noise = guest.command("dmesg | grep -iE 'I/O error|EXT4-fs error' || true")
        check_equal(noise, "", "complaints of the guest's kernel")
        guest.command("umount /mnt")
        context.power_off(guest)
    run_tool("e2fsck", "-fn", image)


@case("vhost-disk-killed", fast=True, own=True)
def disk_killed(context):
    killed(context, storage_daemon)


def with_modules(context, flavour, modules):
    """The usual initrd with a script that loads these modules."""
    chosen = kernel.kernel(flavour)
    order = chosen.module_order(modules)
    files = {f"lib/more/{initrd.module_name(file)}": (kernel.read_module(file), 0o644)
             for file in order}
    load = "".join(f"insmod /lib/more/{initrd.module_name(file)} 2>/dev/null\n" for file in order)
    files["etc/more"] = (f"#!/bin/sh\n{load}".encode(), 0o755)
    path = context.directory / "initrd"
    path.write_bytes(initrd.initrd(chosen).plain.read_bytes() + initrd.overlay(files))
    return path


def filesystem(context, serve, flavour, **fields):
    folder = context.directory / "folder"
    folder.mkdir()
    content = random.Random(2).randbytes(3 << 20)
    (folder / "from-host").write_bytes(content)
    socket = context.directory / "fs.sock"
    with serve(context, folder, socket):
        more = ("--filesystem", f"socket={socket},shared", *fields.pop("more", ()))
        boot = fields.pop("boot", context.boot_to_shell)
        guest = boot(flavour=flavour, more=more, vcpus=2,
                     initrd=with_modules(context, flavour, ("virtiofs",)), **fields)
        guest.command("sh /etc/more; mount -t virtiofs shared /mnt")
        check_equal(guest.command("sha256sum </mnt/from-host").split()[0], sha256(content),
                    "sha256 of what the guest read")
        guest.command("mkdir /mnt/new; cp /bin/busybox /mnt/new/copy; ln -s copy /mnt/new/link; "
                      "mv /mnt/from-host /mnt/new/moved; chmod 640 /mnt/new/moved; sync")
        wanted = guest.command("sha256sum </bin/busybox").split()[0]
        for number in range(3):
            guest.command(f"dd if=/dev/urandom of=/mnt/new/f{number} bs=4k count=100 2>/dev/null")
        names = guest.command("ls /mnt/new").split()
        check_equal(sorted(names), ["copy", "f0", "f1", "f2", "link", "moved"], "names")
        guest.command("umount /mnt")
        context.power_off(guest)
    check_equal(sha256((folder / "new/copy").read_bytes()), wanted, "what the guest wrote")
    check_equal((folder / "new/moved").read_bytes(), content, "what the guest moved")
    check_equal((folder / "new/moved").stat().st_mode & 0o777, 0o640, "mode")
    check_equal(str((folder / "new/link").readlink()), "copy", "where the link leads")


def virtiofsd(context, folder, socket):
    need(VIRTIOFSD)
    return BackEnd([VIRTIOFSD, f"--socket-path={socket}", "-o", f"source={folder}", "-o",
                    "sandbox=chroot", "-f"], socket, context.directory / "back-end.log")


@case("vhost-filesystem-virtiofsd", fast=True, own=True)
def filesystem_virtiofsd(context):
    """QEMU's virtiofsd serves a folder to the micro board."""
    filesystem(context, virtiofsd, "cloud")


@case("vhost-filesystem-virtiofsd-pc", own=True)
def filesystem_virtiofsd_pc(context):
    filesystem(context, virtiofsd, "stock", more=("--machine", "pc"))


def testpmd(context, sockets, queues=1):
    """DPDK's test program as a wire between two vhost-user ports, which must run as root for its
    memory."""
    devices = [word for number, socket in enumerate(sockets)
               for word in ("--vdev", f"net_vhost{number},iface={socket},queues={queues}")]
    return BackEnd([need("dpdk-testpmd"), "--no-huge", "-m", "512", "--no-pci", "--no-telemetry",
                    "-l", "0-1", "--file-prefix", context.directory.name, *devices, "--",
                    "--total-num-mbufs=8192", f"--rxq={queues}", f"--txq={queues}", "--auto-start",
                    "--forward-mode=io", "--stats-period", "3600"],
                   sockets[-1], context.directory / "back-end.log")


@case("vhost-net-testpmd", own=True)
def net_testpmd(context):
    """Two guests with DPDK's testpmd as the wire between them: a file each way, before and after
    testpmd was killed."""
    sockets = [context.directory / "net0.sock", context.directory / "net1.sock"]
    image = network_initrd(context, "cloud", ("virtio_net",))
    with testpmd(context, sockets) as wire:
        guests = []
        for number, socket in enumerate(sockets):
            guest = context.boot_to_shell(flavour="cloud", initrd=image, memory="256M",
                                          more=("--network", f"vhost-user={socket}"))
            guest.command(f"sh /etc/net; ifconfig lo 127.0.0.1; ifconfig eth0 10.1.0.{number + 1}")
            guests.append(guest)
        one, two = guests
        file_across(one, two, "10.1.0.2")
        file_across(two, one, "10.1.0.1")
        wire.kill()
        for socket in sockets:
            socket.unlink(missing_ok=True)
        wire.start()
        file_across(one, two, "10.1.0.2")
        for guest in guests:
            context.power_off(guest)


def file_across(sender, receiver, address):
    """A file by TCP from one guest to another."""
    for _ in range(60):
        if "1 packets received" in sender.command(f"ping -c 1 -w 1 {address}", status=None):
            break
    else:
        check(False, f"{address} does not answer")
    receiver.send("nc -l -p 9 >/tmp/got; echo @@got\n")
    sender.command("dd if=/dev/urandom of=/tmp/sent bs=64k count=64 2>/dev/null")
    wanted = sender.command("sha256sum </tmp/sent").split()[0]
    for _ in range(30):
        if sender.command(f"nc {address} 9 </tmp/sent && echo done", status=None).endswith("done"):
            break
        time.sleep(0.5)
    receiver.expect("@@got")
    check_equal(receiver.command("sha256sum </tmp/got").split()[0], wanted, "sha256 of the file")


# --- our back ends ---

def mynah_disk(context, image, socket, queues=1):
    return BackEnd([context.emulator.program, "serve", "blk", "--socket", socket, "--queues", queues,
                    "--disk", f"path={image},format=raw"],
                   socket, context.directory / "back-end.log")


@case("vhost-serve-disk", fast=True, own=True)
def serve_disk(context):
    """Our disk behind our own front end."""
    disk(context, mynah_disk, flavour="cloud", vcpus=2)


@case("vhost-serve-disk-killed", own=True)
def serve_disk_killed(context):
    killed(context, mynah_disk)


def qemu(context, initrd_path, flavour, devices, prompt=True):
    """A guest under QEMU's own translator, with memory that a back end can map."""
    chosen = kernel.kernel(flavour)
    guest = context.start_command(
        [need("qemu-system-x86_64"), "-accel", "tcg", "-cpu", "max", "-M",
         "q35,memory-backend=ram", "-m", "512M", "-object",
         "memory-backend-memfd,id=ram,size=512M,share=on", "-nodefaults", "-no-user-config",
         "-display", "none", "-serial", "mon:stdio", "-kernel", str(chosen.image), "-initrd",
         str(initrd_path), "-append",
         # No page is written by the processor before a device writes to it.
         "console=ttyS0 init_on_alloc=0", *devices])
    if not prompt:
        return guest
    guest.expect(r"mynah:[^\r\n]*# ", quiet=300)
    guest.command("dmesg -n 1")
    return guest


def qemu_on_our_disk(context, kills):
    image = context.directory / "disk.img"
    image.write_bytes(random.Random(1).randbytes(8 << 20))
    socket = context.directory / "disk.sock"
    with mynah_disk(context, image, socket) as back_end:
        guest = qemu(context, initrd.initrd(kernel.kernel("cloud")).plain, "cloud",
                     ["-chardev", f"socket,id=c,path={socket},reconnect=1", "-device",
                      "vhost-user-blk-pci,chardev=c,num-queues=1"])
        if kills:
            guest.send("dd if=/dev/urandom of=/tmp/other bs=64k count=64 2>/dev/null; for i in 1 2 3 4 5; "
                       "do dd if=/tmp/other of=/dev/vda bs=4k seek=512 conv=notrunc,fsync "
                       "2>/dev/null || echo @@failed; echo @@round-$i; done; echo @@over\n")
            guest.expect("@@round-2\r")
            back_end.kill()
            time.sleep(0.3)
            back_end.start()
            guest.expect("@@over\r")
            check("@@failed\r" not in guest.text(), "a write failed in the guest")
            guest.command("cmp /tmp/other /dev/vda -n 0 2>/dev/null; dd if=/dev/vda bs=4k skip=512 "
                          "count=1024 iflag=direct 2>/dev/null | cmp - /tmp/other")
            image_now = image.read_bytes()
            wanted = guest.command("sha256sum </tmp/other").split()[0]
            check_equal(sha256(image_now[512 * 4096:][:4 << 20]), wanted, "what was written")
            context.power_off(guest)
        else:
            read_and_write(context, guest, image)


@case("vhost-serve-disk-qemu", own=True)
def serve_disk_qemu(context):
    """QEMU as the front end of our disk."""
    qemu_on_our_disk(context, kills=False)


class QemuMonitor:
    """QMP of a QEMU that listens at a socket."""

    def __init__(self, path):
        self._socket = socketlib.socket(socketlib.AF_UNIX)
        self._socket.settimeout(120)
        for _ in range(600):
            if path.exists():
                break
            time.sleep(0.05)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rw")
        self._stream.readline()
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        while True:
            answer = json.loads(self._stream.readline())
            if "event" in answer:
                continue
            check("return" in answer, f"{command}: {answer}")
            return answer["return"]

    def close(self):
        self._stream.close()
        self._socket.close()


@case("vhost-serve-disk-qemu-migrates", own=True)
def serve_disk_qemu_migrates(context):
    """QEMU saves its machine to a file while our disk writes to the guest's memory, and goes on
    from it in another process: what the guest's cache holds then is what our disk wrote, of which
    QEMU knows by the log only."""
    image = context.directory / "disk.img"
    image.write_bytes(random.Random(1).randbytes(32 << 20))
    wanted = sha256(image.read_bytes())
    socket, saved = context.directory / "disk.sock", context.directory / "saved"
    initrd_path = initrd.initrd(kernel.kernel("cloud")).plain

    def devices(control):
        return ["-chardev", f"socket,id=c,path={socket}", "-device",
                "vhost-user-blk-pci,chardev=c,num-queues=1", "-qmp",
                f"unix:{control},server=on,wait=off"]

    with mynah_disk(context, image, socket):
        control = context.directory / "control1"
        guest = qemu(context, initrd_path, "cloud", devices(control))
        with contextlib.closing(QemuMonitor(control)) as monitor:
            # The cache of a disk that nobody has open is dropped.
            guest.command("exec 3</dev/vda")
            # Held when nearly all of the memory is saved: what our disk writes then lies in pages
            # that are, mostly.
            monitor.execute("migrate-set-parameters", **{"max-bandwidth": 16 << 20})
            monitor.execute("migrate", uri=f"exec:cat >{saved}")
            for _ in range(2000):
                ram = monitor.execute("query-migrate").get("ram", {})
                if 0 < ram.get("remaining", 0) < ram["total"] // 5:
                    break
                time.sleep(0.02)
            monitor.execute("migrate-set-parameters", **{"max-bandwidth": 128 << 10})
            guest.command("cat /dev/vda >/dev/null")
            check_equal(monitor.execute("query-migrate")["status"], "active", "the migration")
            monitor.execute("migrate-set-parameters",
                            **{"max-bandwidth": 1 << 40, "downtime-limit": 300})
            for _ in range(600):
                status = monitor.execute("query-migrate")["status"]
                if status == "completed":
                    break
                check_equal(status in ("active", "device", "pre-switchover"), True, status)
                time.sleep(0.2)
            check_equal(status, "completed", "the migration")
            monitor.execute("quit")
        guest.wait()
        control = context.directory / "control2"
        guest = qemu(context, initrd_path, "cloud",
                     [*devices(control), "-incoming", f"exec:cat {saved}"], prompt=False)
        with contextlib.closing(QemuMonitor(control)) as monitor:
            for _ in range(600):
                if monitor.execute("query-status")["running"]:
                    break
                time.sleep(0.2)
        guest.send("\n")
        guest.expect(r"mynah:[^\r\n]*# ")
        reads = "cut -c1-9 /sys/block/vda/stat"
        before = guest.command(reads)
        got = guest.command("sha256sum </dev/vda").split()[0]
        check_equal(guest.command(reads), before, "reads of the disk: all of it was in the cache")
        check_equal(got, wanted, "sha256 of the guest's cache")
        # The disk goes on.
        guest.command("echo 3 >/proc/sys/vm/drop_caches")
        check_equal(guest.command("sha256sum </dev/vda").split()[0], wanted, "sha256 of the disk")
        context.power_off(guest)


@case("vhost-serve-disk-qemu-killed", own=True)
def serve_disk_qemu_killed(context):
    """Our disk is killed and started again under QEMU, which keeps the in-flight region for it."""
    qemu_on_our_disk(context, kills=True)


def mynah_filesystem(context, folder, socket):
    return BackEnd([context.emulator.program, "serve", "fs", "--socket", socket, "--filesystem",
                    f"{folder},shared"], socket, context.directory / "back-end.log")


@case("vhost-serve-fs", fast=True, own=True)
def serve_filesystem(context):
    """A folder that another process of ours serves."""
    filesystem(context, mynah_filesystem, "cloud")


@case("vhost-serve-fs-qemu", own=True)
def serve_filesystem_qemu(context):
    """QEMU as the front end of our folder."""
    def boot(more, flavour, vcpus, initrd):
        socket = more[-1].split("=", 1)[1].split(",")[0]
        return qemu(context, initrd, flavour,
                    ["-chardev", f"socket,id=c,path={socket}", "-device",
                     "vhost-user-fs-pci,chardev=c,tag=shared"])
    filesystem(context, mynah_filesystem, "cloud", boot=boot)


def on_our_network(context, start):
    from cases_network import Files, exchange, up
    socket = context.directory / "net.sock"
    server = BackEnd([context.emulator.program, "serve", "net", "--socket", socket, "--network",
                      "user"], socket, context.directory / "back-end.log")
    with server, Files() as files:
        guest = start(socket, network_initrd(context, "cloud", ("virtio_net",)))
        check_equal(up(guest), "10.0.2.15", "the guest's address")
        exchange(guest, files)
        context.power_off(guest)


@case("vhost-serve-net", fast=True, own=True)
def serve_net(context):
    """Our user network in another process, behind our own front end."""
    on_our_network(context, lambda socket, image: context.boot_to_shell(
        flavour="cloud", initrd=image, more=("--network", f"vhost-user={socket}")))


@case("vhost-serve-net-qemu", own=True)
def serve_net_qemu(context):
    """QEMU as the front end of our network. Without MSI-X: under its translator QEMU 7.2 crashes
    when vhost-net is to use it."""
    on_our_network(context, lambda socket, image: qemu(
        context, image, "cloud",
        ["-chardev", f"socket,id=c,path={socket}", "-netdev", "vhost-user,id=n,chardev=c",
         "-device", "virtio-net-pci,netdev=n,vectors=0"]))
