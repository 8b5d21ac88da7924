#!/usr/bin/env bash
# Make root.img in directory $1: Debian suite $3 from archive $2 with packages $4, ext4 of size $5.
# Runs as root, or under fakechroot and fakeroot; then ownership lives only in this one session,
# so the image is made in it too.
set -euo pipefail
where=$1 archive=$2 suite=$3 packages=$4 size=$5
tree=$where/tree
variant=minbase
if [ -n "${FAKECHROOT:-}" ]; then variant=fakechroot; fi

debootstrap --variant="$variant" --include="$packages" "$suite" "$tree" "$archive"

if [ "$variant" = fakechroot ]; then
  # Traces of the pretended change of root: links to this machine's /proc and /dev, the tree's own
  # path in absolute links, and stand-ins for two programs.
  for name in dev proc; do rm -f "$tree/$name"; mkdir "$tree/$name"; done
  find "$tree" -type l -lname "$tree/*" -print0 | while IFS= read -r -d '' link; do
    target=$(readlink "$link")
    ln -sfn "${target#"$tree"}" "$link"
  done
  for name in sbin/ldconfig usr/bin/ldd; do
    if [ -e "$tree/$name.REAL" ]; then mv -f "$tree/$name.REAL" "$tree/$name"; fi
  done
  diversions=$tree/var/lib/dpkg/diversions   # three lines each, the last its owner
  awk 'NR % 3 == 1 { from = $0 } NR % 3 == 2 { to = $0 }
       NR % 3 == 0 && $0 != "fakechroot" { print from "\n" to "\n" $0 }' "$diversions" >"$where/kept"
  mv "$where/kept" "$diversions"
fi

# Root has no password: the console is the only way in.
sed -i 's/^root:[^:]*:/root::/' "$tree/etc/shadow"
echo guest >"$tree/etc/hostname"
echo 'LABEL=mynah-root / ext4 defaults 0 1' >"$tree/etc/fstab"
mkdir -p "$tree/etc/systemd/system/getty.target.wants"
ln -sf /lib/systemd/system/serial-getty@.service \
  "$tree/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service"
# Every wired interface asks for an address, where there is somebody to do it.
if [ -e "$tree/lib/systemd/systemd-networkd" ]; then
  printf '[Match]\nType=ether\n[Network]\nDHCP=yes\n' >"$tree/etc/systemd/network/wired.network"
  ln -sf /lib/systemd/system/systemd-networkd.service \
    "$tree/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
fi
# With a kernel of its own it is to be booted by GRUB (disk.py).
if [ -e "$tree/vmlinuz" ]; then
  mkdir -p "$tree/boot/grub"
  cat >"$tree/boot/grub/grub.cfg" <<'GRUB'
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=0
menuentry "Debian" {
  linux /vmlinuz root=LABEL=mynah-root console=tty0 console=ttyS0
  initrd /initrd.img
}
GRUB
fi
# Daily jobs would make the machine busy at a time no test can foresee.
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer; do
  ln -sf /dev/null "$tree/etc/systemd/system/$unit"
done
rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
rm -rf "$tree"/usr/share/doc/* "$tree"/usr/share/man/* "$tree"/usr/share/locale/*
mkdir -p "$tree/var/lib/apt/lists"

truncate -s "$size" "$where/root.img.part"
mke2fs -q -F -t ext4 -L mynah-root -E no_copy_xattrs,lazy_itable_init=1 -d "$tree" "$where/root.img.part"
mv "$where/root.img.part" "$where/root.img"
rm -rf "$tree"
