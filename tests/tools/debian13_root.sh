#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a Debian 13 system in a folder, once per machine, for what the machine's own Debian lacks: Swift 6 for the iOS code, and
# clang 21 with QEMU 11 for ARM64 code with SME2. Needs root, debootstrap and Debian's mirror; takes some minutes and 5 GB.
#
#   tests/tools/debian13_root.sh        # the folder: $HQDIT_DEBIAN13, or /var/cache/hqdit-mobile/debian13
#
# Nothing is done when the folder already holds these packages. The folder appears only once it is complete.
set -euo pipefail

root=${HQDIT_DEBIAN13:-/var/cache/hqdit-mobile/debian13}
packages=(ca-certificates libc6-dev g++ git zlib1g-dev swiftlang gcc-aarch64-linux-gnu g++-aarch64-linux-gnu)
backports=(qemu-user clang-21 lld-21)
stamp="trixie ${packages[*]} backports ${backports[*]}"

fail() {
  echo "debian13_root.sh: $1" >&2
  exit 1
}

is_complete() { [ "$(cat "$root/etc/hqdit-packages" 2>/dev/null)" = "$stamp" ]; }

is_complete && exit 0
[ "$(id -u)" = 0 ] || fail "only root can make a Debian root: run it with sudo"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
case $root in /?*/?*) ;; *) fail "HQDIT_DEBIAN13 must be an absolute path below another folder, not '$root'" ;; esac

mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9
is_complete && exit 0

new=$(mktemp -d "$root.new.XXXXXX")
remove() { rm -rf --one-file-system "$@"; }
trap 'remove "$new"' EXIT
chmod 755 "$new"

# Debian's default mirror is debootstrap's own choice; the packages from backports are taken from the same one.
debootstrap --variant=minbase trixie "$new" >"$root.log" 2>&1 || fail "debootstrap failed (no network?): see $root.log"
sed 's/ trixie / trixie-backports /' "$new/etc/apt/sources.list" >"$new/etc/apt/sources.list.d/backports.list"
cp /etc/resolv.conf "$new/etc/resolv.conf"

# A mount namespace of its own: whatever happens, no mount is left behind.
in_root() {
  unshare --mount bash -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$@"' "$new" "$new" \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@" >>"$root.log" 2>&1
}
install=(apt-get install -y -q --no-install-recommends)
in_root apt-get update -q || fail "apt-get update failed in the new root (no network?): see $root.log"
in_root "${install[@]}" "${packages[@]}" || fail "not all packages of trixie could be installed: see $root.log"
in_root "${install[@]}" -t trixie-backports "${backports[@]}" || fail "not all packages of trixie-backports could be installed: see $root.log"
in_root apt-get clean

printf '%s\n' "$stamp" >"$new/etc/hqdit-packages"
old=$root.old.$$
[ ! -e "$root" ] || mv -T "$root" "$old"
mv -T "$new" "$root"
trap - EXIT
remove "$old"
echo "debian13_root.sh: made $root"
