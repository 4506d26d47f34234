#!/usr/bin/env bash
# Whether the same sources give the same bytes: the archive of `make dist` is built twice, in folders of other names and lengths, at
# other times, with the build beside the sources and inside of them; the command and both libraries must be the same files.
# Usage: reproducible.sh     (CMAKE_FLAGS are passed to cmake; takes as long as two builds)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
scripts/dist.sh "$root" >/dev/null
read -ra flags <<<"${CMAKE_FLAGS:-}"
export CCACHE_DISABLE=1 # the second build is no copy of the first

# build SOURCES FOLDER: a build with the time zone and the umask of another machine
build() {
    mkdir -p "$1"
    tar -xf "$root"/skive-*.tar.gz -C "$1" --strip-components 1
    cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSKIVE_TESTS=OFF -DSKIVE_BENCH=OFF "${flags[@]}" >/dev/null
    cmake --build "$2" -j "$(nproc)" --target skive skive_static skive_shared | tail -n 1
}
(export TZ=UTC && umask 022 && build "$root/one" "$root/one/build")
sleep 2
(export TZ=Asia/Tokyo LC_ALL=C && umask 077 && build "$root/another, and longer" "$root/elsewhere")
cd "$root"
differing=0
for file in skive libskive.a libskive.so; do
    if cmp -s "one/build/$file" "elsewhere/$file"; then
        echo "the same: $file $(sha256sum <"one/build/$file" | cut -c 1-16)"
    else
        echo "differs: $file" >&2
        differing=1
    fi
done
exit $differing
