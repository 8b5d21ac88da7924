#!/bin/busybox sh
# Run in the guest: every self-test once, each line of its output marked, then its status.
cd /tmp || exit 1
for program in /selftests/*_32 /selftests/*_64; do
  name=${program##*/}
  echo "@@begin $name"
  began=$(date +%s)
  timeout -s KILL "$(cat /selftests/seconds)" "$program" </dev/null 2>&1
  echo "@@end $name $? $(($(date +%s) - began))"
done
