#!/bin/sh
# Writes a minimal Debian root file system as a tar stream to standard output.
# Run inside a private mount namespace: the tmpfs, and all that is mounted in it, vanishes with the process.
set -eu
suite=$1

mount -t tmpfs -o size=2g,mode=0755 capstan-base /mnt
debootstrap --variant=minbase --include=ca-certificates "$suite" /mnt >&2
rm -rf /mnt/var/cache/apt/*.bin /mnt/var/cache/apt/archives/*.deb /mnt/var/lib/apt/lists/* /mnt/var/log/*.log
rm -f /mnt/etc/resolv.conf /mnt/etc/hostname
tar -C /mnt --one-file-system --numeric-owner -c .
