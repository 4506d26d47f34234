#!/usr/bin/env bash
# Makes a folder with the libraries and headers of another processor, unpacked from Debian's packages, for the presets
# aarch64, riscv64 and s390x and for qemu. Nothing is installed here and no foreign architecture is added to dpkg.
# Usage: cross_root.sh ARCHITECTURE [FOLDER]
#   ARCHITECTURE  arm64, riscv64 or s390x, as Debian names them
#   FOLDER        default: ~/.cache/skive/ARCHITECTURE; not made again when it is complete
# Prints the folder. SKIVE_MIRROR names another Debian mirror; PACKAGES names more packages (python3, for instance), for a
# folder of its own. Exit status 77: the packages cannot be had.
set -euo pipefail

arch=${1:-}
case $arch in
    arm64 | riscv64 | s390x) ;;
    *) echo "usage: cross_root.sh arm64|riscv64|s390x [FOLDER]" >&2; exit 2 ;;
esac
root=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/$arch}
[ -f "$root/.complete" ] && { echo "$root"; exit 0; }
cannot() { echo "cross_root: no packages of $arch: $*" >&2; exit 77; }

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || cannot "this system has no apt-get"
suite=$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}") || true
[ -n "$suite" ] || suite=bookworm
[ "$arch" = riscv64 ] && [ "$suite" = bookworm ] && suite=trixie # Debian's first release for RISC-V
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keys" ] || cannot "the package debian-archive-keyring is missing"

# apt with a state of its own, which believes to be on that processor with nothing installed.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state"/lists/partial "$state"/archives/partial "$state"/none
: >"$state/status"
echo "deb [signed-by=$keys] ${SKIVE_MIRROR:-http://deb.debian.org/debian} $suite main" >"$state/sources.list"
apt=(apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User= -o Debug::NoLocking=1
    -o Dir::State="$state" -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status"
    -o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives" -o Dir::Etc::sourcelist="$state/sources.list"
    -o Dir::Etc::sourceparts="$state/none" -o Dir::Etc::preferencesparts="$state/none" -o APT::Install-Recommends=false)
"${apt[@]}" update >&2 || cannot "the mirror gives no lists of $suite"
"${apt[@]}" -y --download-only install libc6-dev libgomp1 zlib1g-dev libpng-dev libjpeg62-turbo-dev libprotobuf-c-dev \
    libjansson-dev libcmocka-dev ${PACKAGES:-} >&2 || cannot "the mirror does not give them"

mkdir -p "$root"
for package in "$state"/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
# Absolute links would lead out of the folder.
find "$root" -type l -lname '/*' | while read -r link; do ln -sfn "$root$(readlink "$link")" "$link"; done
[ -e "$root/lib" ] || ln -s usr/lib "$root/lib" # the loader's folder, where packages rely on a merged /usr
touch "$root/.complete"
echo "$root"
