#!/bin/busybox sh
# The first program of Mynah's test guests. Words of the kernel command line steer it:
#   root=DEVICE       mount this ext4 file system and hand over to its /sbin/init
#   mount=DEVICE      mount this ext4 file system on /mnt and stay
#   mynah.run=FILE    run this program of the initrd, print its status and power off
# Without any of them it starts a shell on the console.
/bin/busybox echo "mynah-init: up"
export PATH=/sbin:/bin:/usr/sbin:/usr/bin HOME=/root TERM="${TERM:-vt100}"
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /run /tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp

word() { sed -n "s/^\(.* \)\{0,1\}$1=\([^ ]*\).*$/\2/p" /proc/cmdline; }

while read -r module; do
  insmod "/lib/modules/$module" || echo "mynah-init: module $module did not load"
done </lib/modules/order

wait_for() {
  tries=0
  while [ ! -b "$1" ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); usleep 100000; done
  [ -b "$1" ] || echo "mynah-init: $1 did not appear"
}

root=$(word root)
if [ -n "$root" ]; then
  wait_for "$root"
  if mount -t ext4 -o rw "$root" /mnt; then
    umount /tmp /dev/shm /dev/pts
    for tree in dev sys proc; do mount -o move /$tree /mnt/$tree; done
    exec switch_root /mnt /sbin/init
  fi
  echo "mynah-init: $root could not be mounted"
fi

disk=$(word mount)
if [ -n "$disk" ]; then
  wait_for "$disk"
  mount -t ext4 "$disk" /mnt && echo "mynah-init: $disk is on /mnt"
fi

run=$(word mynah.run)
if [ -n "$run" ]; then
  "$run"
  echo "mynah-init: $run ended with status $?"
  exec /sbin/poweroff
fi

echo "mynah-init: Linux $(uname -r) on $(nproc) processor(s). 'poweroff' ends the machine."
exec /bin/busybox init
