"""The virtual switch, passt and bridges: machines that reach each other, or do not."""
import os
import shutil
import struct
import subprocess

from case import Skipped, case, check, check_equal
from cases_network import Files, exchange, network_initrd, up
from cases_vhost import BackEnd, file_across


def switch(context, *options):
    socket = context.directory / "switch.sock"
    return BackEnd([context.emulator.program, "switch", socket, *options], socket,
                   context.directory / "switch.log")


def mac(address):
    """One for each guest, as cards of machines without a name all have the same."""
    return "52:54:00:00:00:" + format(int(address.rsplit(".")[-1]), "02x")


def plug_in(context, image, address, socket, rules="", more=()):
    guest = context.boot_to_shell(flavour="cloud", initrd=image, memory="192M",
                                  more=("--network", f"switch={socket}{rules},mac={mac(address)}",
                                        *more))
    guest.command(f"sh /etc/net; ifconfig lo 127.0.0.1; ifconfig eth0 {address}")
    return guest


def answers(guest, address):
    return "1 packets received" in guest.command(f"ping -c 1 -w 2 {address}", status=None)


def frames(path):
    """The frames of a recording."""
    data = path.read_bytes()
    at, found = 24, []
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return found


@case("switch-vlans", fast=True, own=True)
def vlans(context):
    """Guests in one VLAN reach each other, those in another do not; a trunk reaches both; a mirror
    sees the tags."""
    image = network_initrd(context, "cloud", ("virtio_net", "8021q"))
    capture = context.directory / "mirror.pcap"
    with switch(context, "--group", "web,vlan=10", "--uplink",
                f"dgram={context.directory}/tap,peer={context.directory}/nobody,mirror=on,"
                f"pcap={capture}") as plugged:
        one = plug_in(context, image, "10.1.0.1", plugged.socket, ",vlan=10")
        two = plug_in(context, image, "10.1.0.2", plugged.socket, ",group=web")
        other = plug_in(context, image, "10.1.0.3", plugged.socket, ",vlan=20")
        trunk = plug_in(context, image, "0.0.0.0", plugged.socket, ",trunk=10+20")
        file_across(one, two, "10.1.0.2")
        check(not answers(one, "10.1.0.3"), "a guest in another VLAN answers")
        check(not answers(other, "10.1.0.1"), "a guest in another VLAN is answered")
        trunk.command("ip link add link eth0 name v10 type vlan id 10; "
                      "ip link add link eth0 name v20 type vlan id 20; "
                      "ip addr add 10.1.0.4/24 dev v10; ip addr add 10.1.0.5/24 dev v20; "
                      "ip link set eth0 up; ip link set v10 up")
        check(answers(trunk, "10.1.0.1"), "the trunk does not reach VLAN 10")
        check(not answers(trunk, "10.1.0.3"), "the trunk reaches VLAN 20 by VLAN 10")
        trunk.command("ip link set v10 down; ip link set v20 up")
        check(answers(trunk, "10.1.0.3"), "the trunk does not reach VLAN 20")
        for guest in (one, two, other, trunk):
            context.power_off(guest)
    tags = {frame[14:16] for frame in frames(capture) if frame[12:14] == b"\x81\x00"}
    check_equal({tag[1] for tag in tags}, {10, 20}, "VLANs that the mirror saw")


@case("switch-uplink", own=True)
def uplink(context):
    """Two guests share one uplink to the host; a refused port says why."""
    image = network_initrd(context, "cloud", ("virtio_net",))
    with switch(context, "--uplink", "user") as plugged, Files() as files:
        guest = context.boot_to_shell(flavour="cloud", initrd=image,
                                      more=("--network", f"switch={plugged.socket}"))
        up(guest)
        exchange(guest, files)
        context.power_off(guest)
        answer = subprocess.run(
            context.emulator.command(context.spec(more=("--network",
                                                        f"switch={plugged.socket},group=none"))),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check_equal(answer.returncode, 1, "status with a group that is not there")
        check("no port group 'none'" in answer.stdout, answer.stdout)


@case("network-passt", own=True)
def passt(context):
    """passt, started by the machine: an address, the host's files, both ways."""
    if shutil.which("passt") is None:
        raise Skipped("passt is not installed")
    image = network_initrd(context, "cloud", ("virtio_net",))
    guest = context.boot_to_shell(flavour="cloud", initrd=image, more=("--network", "passt"))
    guest.command("sh /etc/net; ifconfig lo 127.0.0.1; ifconfig eth0 up")
    guest.command("udhcpc -i eth0 -n -q -t 20 -s /etc/udhcpc", quiet=300)
    with Files() as files:
        gateway = guest.command("ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p'")
        check(gateway, "no default route by passt's DHCP")
        guest.command(f"wget -q -O /tmp/file http://{gateway}:{files.port}/file", quiet=600)
        check_equal(guest.command("wc -c </tmp/file").strip(), str(len(files.content)),
                    "size of what the guest fetched")
    context.power_off(guest)


@case("network-bridge", own=True)
def bridge(context):
    """A guest on a bridge in a network namespace of the test's own answers the host's side."""
    if subprocess.run(["unshare", "-rn", "true"], stderr=subprocess.DEVNULL).returncode != 0 \
            or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise Skipped("no network namespaces or no /dev/net/tun")
    image = network_initrd(context, "cloud", ("virtio_net",))
    spec = context.spec(flavour="cloud", initrd=image,
                        more=("--network", "bridge=br0,model=virtio"))
    guest = context.start_command(
        ["unshare", "-rn", "sh", "-c",
         "ip link add br0 type bridge && ip addr add 10.3.0.1/24 dev br0 && ip link set br0 up && "
         'exec "$@"', "sh", *context.emulator.command(spec)])
    guest.expect(r"mynah:[^\r\n]*# ")
    guest.command("dmesg -n 1; sh /etc/net; ifconfig eth0 10.3.0.2")
    for _ in range(10):
        if answers(guest, "10.3.0.1"):
            break
    else:
        check(False, "the bridge does not answer")
    context.power_off(guest)
    wrong = subprocess.run(context.emulator.command(
        context.spec(more=("--network", "bridge=not-there"))), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check_equal(wrong.returncode, 1, "status with a bridge that is not there")
    check("--network bridge=not-there: expected the name of a bridge" in wrong.stdout, wrong.stdout)
