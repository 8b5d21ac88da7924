"""KVM: firmware on the host's own, whatever that is, and Debian on a real one, which any host has
inside a guest of QEMU's translator with AMD's virtualization."""
import os
import pathlib
import re
import subprocess

from case import SHELL_PROMPT, Skipped, case, check, check_equal
from cases_engine import Mover
from cases_hypervisor_kvm import KVM, SAYS, runs_by_kvmclock, uptime_minus_host
from cases_network import network_initrd
from cases_vhost import need
from guest import initrd, kernel

# One processor, as two are too many for QEMU 7.2: it can miss a write to code that another processor
# translates at that moment (a Linux that patches itself meets an INT3 that is long gone, for ever),
# and a processor that is kicked by another one right after VMRUN has injected an interrupt gets that
# interrupt again as an exception.
OUTER = "-accel tcg -cpu EPYC,+svm,+npt,+invtsc -M q35 -m 1792M -smp 1 -nodefaults " \
        "-no-user-config -display none -serial stdio".split()


# Seconds, of a guest in a guest; a clock that jumps at a move is off by much more after many.
CLOCK_MAY_BE_OFF = 0.5


def program(context):
    return pathlib.Path(context.emulator.program)


@case("kvm-seabios", fast=True, own=True)
def seabios(context):
    """The firmware runs on /dev/kvm until it finds nothing to boot from. Its code is real and
    protected mode, which KVMs without hardware behind them run, too."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skipped("/dev/kvm cannot be opened")
    disk = context.blank_disk(1)
    machine = context.start_command(
        [program(context), "run", "--machine", "pc", "--accel", "kvm,slow=on", "--memory", "64M", "--verbose",
         "--disk", f"path={disk},format=raw"])
    machine.expect("No bootable device", quiet=120)


@case("kvm-seabios-moves", fast=True, own=True)
def seabios_moves(context):
    """The same while the machine moves between KVM and our own engines, with the kernel's local APIC
    and with ours; then it is reset, and starts once more. Not onto KVM if firmware was promised
    system management mode."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skipped("/dev/kvm cannot be opened")
    disk = context.blank_disk(1)
    for apic in ("kernel", "machine"):
        mover = Mover(context)
        machine = context.start_command(
            [program(context), "run", "--machine", "pc", "--accel", f"kvm,slow=on,apic={apic}",
             "--memory", "64M", "--disk", f"path={disk},format=raw", "--name", mover.name,
             "--verbose"])
        for _ in range(2):
            machine.expect("SeaBIOS", quiet=120)
            for engine in ("interpreter", "kvm", "jit", "kvm"):
                mover.move_to(engine)
            machine.expect("No bootable device", quiet=120)
            subprocess.run([program(context), "reset", mover.name], check=True)
        status, text = mover.mynah("--verbose")
        check(status == 0 and f"local APICs in the kernel: {int(apic == 'kernel')}" in text, text)
        subprocess.run([program(context), "destroy", mover.name], check=True)
        machine.wait(60)


def with_libraries(context, path, files):
    """A program, without what only debuggers read, and the libraries that it loads."""
    small = context.directory / "stripped"
    subprocess.run([need("strip"), "-o", small, path], check=True)
    files[path.name] = (small.read_bytes(), 0o755)
    listed = subprocess.run(["ldd", path], check=True, text=True, stdout=subprocess.PIPE).stdout
    for library in re.findall(r"/\S+\.so\S*", listed):
        files[library.lstrip("/")] = (pathlib.Path(library).resolve().read_bytes(), 0o755)


def outer_initrd(context):
    """The stock kernel's initrd with KVM's modules, our program, and a machine for it to run."""
    outer, inner = kernel.kernel("stock"), kernel.kernel("cloud")
    files = {"inner/vmlinux": (inner.elf.read_bytes(), 0o644),
             "inner/initrd": (network_initrd(context, "cloud", ("virtio_net",)).read_bytes(), 0o644)}
    with_libraries(context, program(context), files)
    order = outer.module_order(("kvm_amd",))
    for file in order:
        files[f"lib/kvm/{initrd.module_name(file)}"] = (kernel.read_module(file), 0o644)
    load = "".join(f"insmod /lib/kvm/{initrd.module_name(file)}\n" for file in order)
    files["etc/kvm"] = (f"#!/bin/sh\n{load}ls /dev/kvm\n".encode(), 0o755)
    path = context.directory / "outer-initrd"
    path.write_bytes(initrd.initrd(outer).plain.read_bytes() + initrd.overlay(files))
    return outer.image, path


def real_kvm(context):
    """QEMU with a processor that has AMD's virtualization, at the shell of a Linux with /dev/kvm."""
    image, path = outer_initrd(context)
    host = context.start_command(
        [need("qemu-system-x86_64"), *OUTER, "-kernel", image, "-initrd", path, "-append",
         "console=ttyS0 mitigations=off nokaslr random.trust_cpu=on"])
    host.expect(SHELL_PROMPT, quiet=300)
    check_equal(host.command("dmesg -n 1; sh /etc/kvm", quiet=300), "/dev/kvm", "KVM in the guest")
    host.command("dd if=/dev/urandom of=/tmp/disk bs=1M count=4 2>/dev/null; ifconfig lo 127.0.0.1; "
                 "httpd -p 127.0.0.1:8080 -h /tmp")
    return host


def inner(host, vcpus, *more, accel="kvm,slow=on"):
    """A machine inside of it, at its shell."""
    host.send(f"/mynah run --accel {accel} --memory 160M --vcpus {vcpus} --kernel /inner/vmlinux "
              "--initrd /inner/initrd --verbose "
              f"--cmdline 'console=ttyS0 mitigations=off nokaslr' {' '.join(more)} 2>&1; "
              "echo @@ended $?\n")
    host.expect("mynah-init: Linux", quiet=300)
    host.expect(SHELL_PROMPT, quiet=300)
    check_equal(host.command("dmesg -n 1; nproc"), str(vcpus), "number of processors")


def uses_disk_and_network(host, wanted):
    """What the disk had was read, fetched, and written over; returns what it has now."""
    check_equal(host.command("sha256sum </dev/vda", quiet=300).split()[0], wanted,
                "sha256 of what the guest read")
    host.command("sh /etc/net; ifconfig lo 127.0.0.1; ifconfig eth0 up; "
                 "udhcpc -i eth0 -n -q -t 20 -s /etc/udhcpc >/dev/null 2>&1", quiet=300)
    got = host.command("wget -q -O - http://10.0.2.2:8080/disk | sha256sum", quiet=300)
    check_equal(got.split()[0], wanted, "sha256 of what the guest fetched")
    host.command("dd if=/dev/urandom of=/dev/vda bs=4k seek=3 count=100 conv=fsync 2>/dev/null")
    return host.command("sha256sum </dev/vda", quiet=300).split()[0]


# What a guest that calls itself Intel's gets of AMD's KVM: nothing that takes hypercalls.
SAYS_ON_AMD = (*SAYS, "kvm-guest: KVM setup pv remote TLB flush")  # the latter by steal time
NOT_ON_AMD = "setup PV IPIs", "setup PV sched yield"


def finds_kvm_on_amd(guest):
    log = guest.command("dmesg")
    for line in SAYS_ON_AMD:
        check(line in log, f"the kernel does not say {line!r}")
    for line in NOT_ON_AMD:
        check(line not in log, f"the kernel says {line!r}")


def ends(host, *lines):
    """The inner machine is switched off; its summary has these lines, in their order."""
    host.send("poweroff\n")
    for line in lines:
        host.expect(line, quiet=300)
    host.expect("@@ended 0", quiet=300)


@case("kvm-nested", fast=True, own=True)
def nested(context):
    """Debian's kernel on KVM: a disk is read and written, an address is had and a file fetched. Once
    with one processor, no PCI, and the local APIC ours; once with two processors, the kernel's local
    APICs, KVM's paravirtual interface, and a disk of another process behind PCI, whose bells and
    interrupts are eventfds."""
    host = real_kvm(context)
    disk = host.command("sha256sum </tmp/disk").split()[0]
    inner(host, 1, "--disk path=/tmp/disk,format=raw", "--network user",
          accel="kvm,slow=on,apic=machine")
    disk = uses_disk_and_network(host, disk)
    ends(host, "exits: hlt: [1-9]", "ioeventfds: [1-9]", "ioeventfds: rings: [1-9]",
         "local APICs in the kernel: 0")
    check_equal(host.command("sha256sum </tmp/disk").split()[0], disk, "what the guest wrote")
    host.command("/mynah serve blk --socket /tmp/blk --disk path=/tmp/disk,format=raw "
                 ">/tmp/blk.log 2>&1 & until [ -S /tmp/blk ]; do sleep 0.1; done")
    inner(host, 2, "--machine pc", "--disk vhost-user=/tmp/blk", "--network user,model=virtio", *KVM)
    finds_kvm_on_amd(host)
    disk = uses_disk_and_network(host, disk)
    ends(host, "ioeventfds: [1-9]", "ioeventfds: rings: [1-9]", "irqfds: [1-9]",
         "irqfds: signals: [1-9]", "local APICs in the kernel: 2")
    check_equal(host.command("sha256sum </tmp/disk").split()[0], disk, "what the guest wrote")
    host.send("poweroff\n")
    host.wait(120)


# Moves a machine as long as it is there, and counts.
MOVER = """cat >/tmp/mover <<'END'
until /mynah engine moved >/dev/null 2>&1; do sleep 1; done
while :; do
    for e in interpreter kvm jit kvm; do
        /mynah engine moved $e 2>>/tmp/refused || exit
        echo >>/tmp/moves
        sleep 2
    done
done
END
sh /tmp/mover & true"""


def moves_inside(context, vcpus, *more):
    """A machine boots and works while it moves between a real KVM and our own engines. Without
    XSAVE: QEMU's SVM lets a guest write XCR0 behind KVM's back, so that KVM says 1 of what is 7."""
    host = real_kvm(context)
    disk = host.command("sha256sum </tmp/disk").split()[0]
    for line in MOVER.split("\n"):
        host.send(line + "\n")
    host.command("true")
    inner(host, vcpus, "--name moved", "--cpu max,-xsave,-invtsc", "--machine pc",
          "--disk path=/tmp/disk,format=raw,bus=virtio", "--network user,model=virtio", *more)
    before = uptime_minus_host(host)
    disk = uses_disk_and_network(host, disk)
    check_equal(host.command("a=$(seq 1 20000 | sha256sum); for i in 1 2 3 4 5 6; do "
                             "[ \"$(seq 1 20000 | sha256sum)\" = \"$a\" ] || echo wrong; done",
                             quiet=600), "", "what the guest found wrong")
    check_equal(host.command("dmesg | grep -cE 'detected stall|soft lockup|Oops' || true"), "0",
                "complaints of the kernel")
    wrong = uptime_minus_host(host) - before
    check(abs(wrong) < CLOCK_MAY_BE_OFF, f"the clock is off by {wrong:.3f} s")
    if more:
        finds_kvm_on_amd(host)
        runs_by_kvmclock(host)
    ends(host)
    check_equal(host.command("sha256sum </tmp/disk").split()[0], disk, "what the guest wrote")
    moves = int(host.command("wc -l </tmp/moves"))
    check(moves >= 8, f"only {moves} moves: {host.command('cat /tmp/refused')}")
    host.send("poweroff\n")
    host.wait(120)


@case("kvm-nested-moves", own=True)
def nested_moves(context):
    moves_inside(context, 1)


@case("kvm-nested-moves-2-vcpus", own=True)
def nested_moves_2_vcpus(context):
    """With KVM's paravirtual interface, whose clock goes on."""
    moves_inside(context, 2, *KVM)
