#!/usr/bin/env bash
# Tries both commands of README.md, `make demo` and `make test`, as a newcomer would: in a new, bare system of the given
# release (debootstrap in a chroot), on a clean clone of the current commit. Ends with a summary for docs/portability.md.
# Usage: trial.sh [--again] SUITE [FOLDER]     as root; SUITE is bookworm, trixie, noble ...; FOLDER: where (/var/tmp/skive-trial/SUITE)
#   --again        in the system that an earlier trial left in FOLDER, with what that has installed
#   MIRROR         where the packages come from (default: what this machine uses, or Ubuntu's archive)
#   GOALS          what is made (default: "demo test")
#   CMAKE_FLAGS    passed to make
set -euo pipefail
cd "$(dirname "$0")/.."

again=0
[ "${1:-}" = --again ] && { again=1; shift; }
[ $# -eq 1 ] || [ $# -eq 2 ] || { sed -n '4,8s/^# //p' "$0" >&2; exit 2; }
suite=$1
root=${2:-/var/tmp/skive-trial/$suite}
goals=${GOALS:-demo test}
fail() { echo "trial: $*" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || fail "a chroot is made by root only"
command -v debootstrap >/dev/null || fail "debootstrap is missing (apt-get install debootstrap)"
git diff --quiet HEAD || echo "trial: what is not committed is not tried" >&2

# What this machine takes its own packages from.
mirror() {
    local from components=main
    case $suite in
        focal | jammy | noble | oracular | plucky | questing) from=http://archive.ubuntu.com/ubuntu components=main,universe ;;
        *) from=$(sed -n -E 's/^URIs: *(\S*debian)\/?$/\1/p; s/^deb (\[.*\] )?(\S*debian)\/? .*/\2/p' /etc/apt/sources.list \
            /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true) ;;
    esac
    echo "$components ${MIRROR:-${from:-http://deb.debian.org/debian}}"
}

if [ $again = 0 ]; then
    [ ! -e "$root" ] || fail "$root is there already: remove it, or use it with --again"
    read -r components from <<<"$(mirror)"
    script=() keyring=()
    if [[ $from == *ubuntu* ]]; then # Debian's debootstrap may be older than the release, and trusts Debian's keys only
        [ -e "/usr/share/debootstrap/scripts/$suite" ] || script=(/usr/share/debootstrap/scripts/gutsy)
        keyring=(--keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg)
        [ -e "${keyring[0]#*=}" ] || fail "Ubuntu's keys are missing: they are in its package ubuntu-keyring"
    fi
    mkdir -p "$root"
    echo "trial: $suite from $from"
    # A clone needs git, and the first command needs make.
    debootstrap --variant=minbase "${keyring[@]}" --components="$components" --include=ca-certificates,git,make "$suite" \
        "$root" "$from" "${script[@]}" >"$root.debootstrap.log" || fail "debootstrap failed; see $root.debootstrap.log"
fi
[ -x "$root/usr/bin/make" ] || fail "$root holds no system of an earlier trial"

# How this machine reaches the network.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt" 2>/dev/null || true

rm -rf "$root/root/skive"
commit=$(git rev-parse --short HEAD)
git clone -q --depth 1 --no-tags "file://$PWD" "$root/root/skive"

# in_root COMMAND...: in the system, with its own processes and mounts, which end with it
in_root() {
    unshare --mount --pid --fork --kill-child bash -c '
        root=$1
        shift
        mkdir -p "$root/dev/pts" "$root/dev/shm"
        mount -t proc proc "$root/proc" && mount -t tmpfs tmpfs "$root/dev/shm" && mount -t devpts devpts "$root/dev/pts" && exec chroot "$root" "$@"' - "$root" \
        env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${CMAKE_FLAGS:+CMAKE_FLAGS="$CMAKE_FLAGS"} "$@"
}

failed=0
summary=()
for goal in $goals; do
    echo "trial: make $goal; the log is $root.$goal.log"
    started=$SECONDS
    verdict=works
    in_root make -C /root/skive "$goal" >"$root.$goal.log" 2>&1 </dev/null || { verdict=FAILS failed=1; }
    took=$((SECONDS - started))
    detail=$(grep -aE '^[0-9]+% tests passed|^The models and demo.json' "$root.$goal.log" | tail -n 1 || true)
    summary+=("make $goal: $verdict after $((took / 60)) min $((took % 60)) s${detail:+ ($detail)}")
done

version_of() {
    local package
    for package in "$@"; do
        in_root dpkg-query -W -f='${Version}' "$package" 2>/dev/null && return
    done
    echo none
}
echo
echo "$(. "$root/etc/os-release" && echo "$PRETTY_NAME"), $(date +%F), commit $commit, $(nproc) processors${CMAKE_FLAGS:+, $CMAKE_FLAGS}"
printf '  gcc %s, cmake %s, oneDNN %s, protobuf-c %s, ONNX %s\n' "$(version_of gcc)" "$(version_of cmake)" "$(version_of libdnnl-dev)" \
    "$(version_of libprotobuf-c-dev)" "$(version_of libonnx-dev)"
printf '  %s\n' "${summary[@]}"
if [ $failed = 1 ]; then
    for goal in $goals; do
        grep -aE '\*\*\*|^deps: .*needed|error:|^E: ' "$root.$goal.log" | head -n 20 || true
    done
fi
exit $failed
