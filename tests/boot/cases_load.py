"""Stock load generators in a Debian PC: iperf3 against the host's, fio with verification on a shared
folder."""
import contextlib
import json
import shutil
import subprocess
import time

from case import Skipped, case, check, check_equal
from cases_disk import log_in
from cases_network import free_port
from cases_pc import power_off, start_pc
from guest import disk, rootfs


@contextlib.contextmanager
def iperf3_server():
    """The port of the host's iperf3."""
    if shutil.which("iperf3") is None:
        raise Skipped("iperf3 is not installed")
    port = free_port()
    server = subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1", "-p", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield port
    finally:
        server.kill()
        server.wait()


def iperf3(guest, port, *options):
    text = guest.command(f"iperf3 -J -c 10.0.2.2 -p {port} -t 3 {' '.join(options)} || true",
                         quiet=300)
    answer = json.loads(text[text.index("{"):])
    check("error" not in answer, f"iperf3 {options}: {answer.get('error')}")
    return answer["end"]


def through(card):
    @case(f"network-iperf3-{card}", own=True)
    def body(context):
        """TCP both ways, one stream and four, and UDP."""
        path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
        with iperf3_server() as port:
            guest = start_pc(context, path, "virtio", "--network", f"user,model={card}")
            log_in(guest)
            guest.command("for i in $(seq 60); do ip route | grep -q default && break; sleep 1; done",
                          quiet=120)
            for options in ((), ("-R",), ("-P4",), ("-P4", "-R")):
                rate = iperf3(guest, port, *options)["sum_received"]["bits_per_second"] / 8e6
                check(rate > 1, f"iperf3 {options}: {rate:.2f} MB/s")
            got = iperf3(guest, port, "-u", "-b", "10M")["sum"]
            check(got["packets"] > 100 and got["lost_percent"] < 50, f"UDP: {got}")
            power_off(context, guest)


for model in ("virtio", "e1000", "rtl8139"):
    through(model)


@case("filesystem-fio", own=True)
def filesystem_fio(context):
    """Four writers with checksums in a shared folder, with system calls and by mappings; then the
    host finds the files as the guest says that they are."""
    shared = context.directory / "shared"
    shared.mkdir()
    path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
    guest = start_pc(context, path, "virtio", "--filesystem", f"{shared},host")
    log_in(guest)
    guest.command("mkdir -p /mnt/host && mount -t virtiofs host /mnt/host && cd /mnt/host")
    for engine in ("psync", "mmap"):
        guest.command(f"fio --name={engine} --ioengine={engine} --directory=/mnt/host --rw=randrw "
                      "--bsrange=4k-64k --bs_unaligned=0 --size=16M --nrfiles=8 --numjobs=4 "
                      "--verify=crc32c --verify_fatal=1 --verify_state_save=0 --end_fsync=1 >/tmp/fio 2>&1 || "
                      "{ cat /tmp/fio; false; }", quiet=900)
    sums = guest.command("sync; sha256sum /mnt/host/* | sort -k2", quiet=300).split("\n")
    guest.command("cd /; umount /mnt/host")
    power_off(context, guest)
    here = subprocess.run("sha256sum * | sort -k2", shell=True, cwd=shared, check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip().split("\n")
    check(len(here) == 64, f"{len(here)} files")
    check_equal([line.strip().replace("/mnt/host/", "") for line in sums], here,
                "what the host finds")
