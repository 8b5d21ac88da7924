#!/bin/sh
# Runs in the Debian installer when it has reached a stage: says so, with what there is to see, on
# the serial port; powers off if the test wants no more than this stage.
say() { printf '@@ %s\r\n' "$*" >/dev/ttyS0; }

case "$1" in
  disks)
    say "address $(ip -4 -o addr show scope global | awk '{print $4; exit}')"
    say "disk $(cat /sys/block/sda/size)"
    ;;
  partitioned)
    say "root $(awk '$2 == "/target" {print $1, $3}' /proc/mounts)"
    ;;
  base)
    # Nobody has signed the mirror.
    printf 'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n' \
      >/target/etc/apt/apt.conf.d/00unsigned
    say "base $(cat /target/etc/debian_version) $(ls /target/var/lib/dpkg/info/*.list | wc -l)"
    ;;
  installed)
    say "installed $(ls /target/boot | tr '\n' ' ')"
    ;;
esac
if [ "$(cat /mynah-last-stage)" = "$1" ]; then
  sync
  poweroff -f
  sleep 1000
fi
exit 0
