"""A folder of the host in the guest: copied and compared, and a random script run on both sides."""
import os
import random
import shutil
import subprocess

from case import case, check, check_equal
from guest import initrd as guest_initrd
from modules import with_modules


def make_tree(root, seed, count=60):
    """Files of all sizes, folders, links and odd names."""
    chance = random.Random(seed)
    folders = [root]
    for number in range(count):
        folder = chance.choice(folders)
        kind = chance.random()
        name = f"{number}" + chance.choice(("", " with blank", "-\u00e4\u00f6", "." * 3, "x" * 100))
        if kind < 0.2:
            (folder / name).mkdir()
            folders.append(folder / name)
        elif kind < 0.3:
            (folder / name).symlink_to(chance.choice(("nowhere", "/etc/passwd", "..", "1")))
        else:
            size = chance.choice((0, 1, 4095, 70_000, 3 << 20)) if number % 7 else 300
            (folder / name).write_bytes(chance.randbytes(size))
            (folder / name).chmod(chance.choice((0o644, 0o600, 0o755, 0o400)))


def picture(root):
    """What is in a tree, to be compared."""
    out = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        name = str(path.relative_to(root))
        if path.is_symlink():
            out[name] = ("link", os.readlink(path))
        elif path.is_dir():
            out[name] = ("folder", oct(status.st_mode))
        else:
            out[name] = ("file", oct(status.st_mode), status.st_nlink, path.read_bytes())
    return out


def check_same(one, other, what):
    left, right = picture(one), picture(other)
    check_equal(sorted(left), sorted(right), f"{what}: names")
    for name, content in left.items():
        check(content == right[name], f"{what}: {name} differs: {str(content)[:100]} and "
                                      f"{str(right[name])[:100]}")


def start(context, shared, options="", board=()):
    guest = context.boot_to_shell(
        vcpus=2, initrd=with_modules(context, "stock", ("virtiofs",)),
        more=("--filesystem", f"{shared},host{options}", *board))
    guest.command("sh /etc/modules-load; mkdir /mnt/host; mount -t virtiofs host /mnt/host")
    return guest


def copies(context, board):
    shared = context.directory / "shared"
    (shared / "tree").mkdir(parents=True)
    make_tree(shared / "tree", 1)
    guest = start(context, shared, board=board)
    guest.command("cd /mnt/host; cp -a tree /tmp/copy; cp -a /tmp/copy back; sync; cd /root",
                  quiet=600)
    check_same(shared / "tree", shared / "back", "copied through the guest's memory")
    guest.command("cp -a /mnt/host/tree /mnt/host/again && rm -r /mnt/host/back", quiet=600)
    check_same(shared / "tree", shared / "again", "copied within the folder")
    check(not (shared / "back").exists(), "what the guest removed is still there")
    # What the host does is seen after a moment at most.
    (shared / "from-host").write_text("hello guest")
    check_equal(guest.command("cat /mnt/host/from-host"), "hello guest", "a file of the host")
    # Links lead nowhere on the host.
    secret = context.directory / "secret"
    secret.write_text("secret")
    (shared / "out").symlink_to("../secret")
    (shared / "abs").symlink_to(secret)
    for link in ("out", "abs"):
        guest.command(f"cat /mnt/host/{link} 2>/dev/null", status=1)
    guest.command("cat /mnt/host/../secret 2>/dev/null", status=1)
    guest.command("umount /mnt/host")
    context.power_off(guest)


def random_script(seed, steps):
    """Shell commands on a few names; each prints what can be compared."""
    chance = random.Random(seed)
    names = [f"{folder}{name}" for folder in ("", "d1/", "d2/", "d1/d3/") for name in "abcdef"]
    lines = ["umask 022; mkdir d1 d2 d1/d3"]
    for number in range(steps):
        one, two = chance.choice(names), chance.choice(names)
        size = chance.choice((0, 1, 100, 4096, 5000, 70000))
        command = chance.choice((
            f"head -c {size} /dev/zero | tr '\\0' '{number % 10}' >{one}",
            f"echo line{number} >>{one}",
            f"mv {one} {two}", f"mv -f {one} {two}", f"cp {one} {two}", f"rm {one}",
            f"ln {one} {two}", f"ln -s {two} {one}", f"rm -f {one}; mkdir {one}", f"rmdir {one}",
            f"truncate -s {size} {one}", f"chmod {chance.choice(('600', '644', '755'))} {one}",
            f"dd if=/dev/zero of={one} bs=100 seek={chance.randrange(50)} count=3 conv=notrunc",
            f"cat {one}", f"ls {one}", f"cat {one} {two} >d1/sum; rm -f d1/sum",
            f"cat {one} | md5sum", f"[ -f {one} ] && stat -c %s {one}",
        ))
        lines.append(f"{{ {command}; }} 2>/dev/null; echo {number}: $?")
    return "\n".join(lines) + "\n"


@case("filesystem", fast=True, own=True)
def filesystem(context):
    """A tree copied out of and into a shared folder; links that lead out."""
    copies(context, ())


@case("filesystem-pc", own=True)
def filesystem_pc(context):
    copies(context, ("--machine", "pc"))


def stress(context, seeds, steps):
    busybox = guest_initrd.busybox()
    tools = context.directory / "tools"
    tools.mkdir()
    for name in ("head", "tr", "mv", "cp", "rm", "ln", "mkdir", "rmdir", "truncate", "chmod", "dd",
                 "cat", "ls", "md5sum", "stat", "sh"):
        (tools / name).symlink_to(busybox)
    shared = context.directory / "shared"
    shared.mkdir()
    guest = start(context, shared)
    for seed in seeds:
        model = context.directory / f"model{seed}"
        model.mkdir()
        script = random_script(seed, steps)
        (shared / "script").write_text(script)
        wanted = subprocess.run([str(tools / "sh")], input=script, text=True, cwd=model,
                                env={"PATH": str(tools)}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False).stdout
        guest.command(f"mkdir /mnt/host/run{seed}; cd /mnt/host/run{seed}; "
                      "sh ../script >../output 2>&1; cd /root", quiet=600, status=None)
        got = (shared / "output").read_text()
        for mine, theirs in zip(got.split("\n"), wanted.split("\n")):
            check_equal(mine, theirs, f"seed {seed}: a line of the script's output")
        check_equal(len(got), len(wanted), f"seed {seed}: length of the output")
        check_same(model, shared / f"run{seed}", f"seed {seed}")
        shutil.rmtree(model)
    context.power_off(guest)


@case("filesystem-stress", fast=True, own=True)
def filesystem_stress(context):
    """300 random commands give what they give on the host."""
    stress(context, (11,), 300)


@case("filesystem-stress-long", own=True)
def filesystem_stress_long(context):
    stress(context, range(10), 1000)


@case("filesystem-read-only", own=True)
def read_only(context):
    shared = context.directory / "shared"
    shared.mkdir()
    (shared / "file").write_text("as it was")
    guest = start(context, shared, ",readonly=on")
    check_equal(guest.command("cat /mnt/host/file"), "as it was", "a file")
    for command in ("echo x >/mnt/host/file", "rm /mnt/host/file", "mkdir /mnt/host/d",
                    "mv /mnt/host/file /mnt/host/g", "chmod 777 /mnt/host/file"):
        text = guest.command(f"sh -c '{command}' 2>&1", status=1)
        check("Read-only" in text, f"{command}: {text}")
    context.power_off(guest)
    check_equal((shared / "file").read_text(), "as it was", "the file afterwards")
