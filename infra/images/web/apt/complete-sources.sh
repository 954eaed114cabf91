#!/bin/sh
# The container registry's Debian image names updates and security already; debootstrap writes the release alone.
set -eu
list=/etc/apt/sources.list
[ -s "$list" ] || exit 0
mirror=$(sed -n 's/^deb \(http[^ ]*\) .*/\1/p' "$list" | head -n 1)
printf 'deb %s\n' "$mirror bookworm main" "$mirror bookworm-updates main" "$mirror-security bookworm-security main" >"$list"
