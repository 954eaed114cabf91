#!/bin/sh
# android.jar and dx left Debian after bullseye. Fetches exactly the two packages whose SHA-256 is pinned and unpacks
# them without their dependencies, from the mirror that the image uses already.
set -eu
sums=$1
folder=$(mktemp -d)
cd "$folder"

fetch_from() {
  rm -rf lists parts && mkdir -p lists/partial parts
  echo "deb [check-valid-until=no] $1 bullseye main" >sources.list
  set -- -qq -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts="$folder/parts" \
    -o Dir::State::lists="$folder/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o APT::Sandbox::User=root
  apt-get "$@" --error-on=any update &&
    apt-get "$@" download dalvik-exchange=10.0.0+r36-1 libandroid-23-java=6.0.1+r72-6
}

mirror=$(sed -n 's/^deb \(http[^ ]*\) .*/\1/p; s/^URIs: *\(http[^ ]*\).*/\1/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
  head -n 1)
fetch_from "$mirror"
sha256sum --check --strict --quiet "$sums"
for package in ./*.deb; do dpkg-deb --extract "$package" /; done
cd / && rm -rf "$folder"
test -r /usr/lib/android-sdk/platforms/android-23/android.jar
test -x /usr/bin/dalvik-exchange
