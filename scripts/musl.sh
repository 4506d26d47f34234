#!/usr/bin/env bash
# Builds the library and the command with musl (musl-gcc, Debian package musl-tools), linked statically, and runs a model with them.
# Debian has no libraries for musl: protobuf-c, jansson and zlib are built from Debian's sources (needs deb-src packages to be
# reachable, and dpkg-dev); what is optional is left out.
# Usage: musl.sh [FOLDER]     FOLDER: where (default: build-musl)
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
mkdir -p "${1:-build-musl}"
root=$(cd "${1:-build-musl}" && pwd)
usr=$root/usr
jobs=$(nproc)
command -v musl-gcc >/dev/null || { echo "musl: musl-gcc is missing (apt-get install musl-tools)" >&2; exit 1; }

# fetch PACKAGE...: sources from the mirror that this machine uses, with lists of their own
fetch() {
    local mirror suite
    mirror=$(sed -n -E 's/^URIs: *(\S*debian)\/?$/\1/p; s/^deb (\[.*\] )?(\S*debian)\/? .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true)
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mkdir -p "$root/apt/lists/partial" "$root/sources"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $suite main" >"$root/apt/sources.list"
    local apt=(apt-get -qq -o "Dir::Etc::SourceList=$root/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$root/apt/lists")
    (cd "$root/sources" && "${apt[@]}" update && "${apt[@]}" source --download-only "$@" 2>/dev/null)
}

# unpack PACKAGE: its folder
unpack() {
    mkdir -p "$root/$1"
    tar -xf "$(find "$root/sources" -name "$1_*.orig.tar.*" | head -n 1)" -C "$root/$1" --strip-components 1
    cd "$root/$1"
}

# archive NAME OBJECT...: a static library with its .pc file
archive() {
    local name=$1
    shift
    ar rcs "$usr/lib/lib$name.a" "$@"
}

describe() { printf 'Name: %s\nDescription: static, for musl\nVersion: %s\nLibs: -L%s/lib -l%s\nCflags: -I%s/include\n' "$1" "$2" "$usr" "$3" "$usr" >"$usr/lib/pkgconfig/$1.pc"; }

if [ ! -f "$usr/lib/libz.a" ]; then
    fetch protobuf-c jansson zlib
    mkdir -p "$usr/lib/pkgconfig" "$usr/include/protobuf-c"
    (unpack protobuf-c && musl-gcc -O2 -I. -c protobuf-c/protobuf-c.c -o protobuf-c.o && archive protobuf-c protobuf-c.o &&
        cp protobuf-c/protobuf-c.h "$usr/include/protobuf-c/" && describe libprotobuf-c "$(sed -n 's/.*PROTOBUF_C_VERSION[^_].*"\(.*\)"/\1/p' protobuf-c/protobuf-c.h)" protobuf-c)
    (unpack jansson && cmake -B build -G Ninja -DCMAKE_C_COMPILER=musl-gcc -DCMAKE_INSTALL_PREFIX="$usr" -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_BUILD_TYPE=Release -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF && cmake --build build --target install) >"$root/jansson.log" 2>&1 ||
        { tail -n 5 "$root/jansson.log" >&2; exit 1; }
    (unpack zlib && CC=musl-gcc ./configure --static --prefix="$usr" && make -s -j "$jobs" libz.a && cp libz.a "$usr/lib/" && cp zlib.h zconf.h "$usr/include/") >"$root/zlib.log" 2>&1 ||
        { tail -n 5 "$root/zlib.log" >&2; exit 1; }
fi

env PKG_CONFIG_LIBDIR="$usr/lib/pkgconfig" cmake --fresh -S "$source" -B "$root/build" -G Ninja -DCMAKE_C_COMPILER=musl-gcc -DCMAKE_EXE_LINKER_FLAGS=-static \
    -DCMAKE_FIND_ROOT_PATH="$usr" -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
    -DONNX_PROTO_DIR=/usr/include/onnx -DSKIVE_TESTS=OFF -DSKIVE_BENCH=OFF -DSKIVE_ONEDNN=OFF -DSKIVE_OPENMP=OFF -DSKIVE_PNG=OFF -DSKIVE_JPEG=OFF -DSKIVE_SNDFILE=OFF -DSKIVE_LAPACKE=OFF
cmake --build "$root/build" -j "$jobs" --target skive skive_static

# A model that was packed by another build is read, written, packed and run.
"$root/build/skive" --version
"$root/build/skive" unpack tests/golden/forms.skv -o "$root/forms.onnx"
"$root/build/skive" inspect "$root/forms.onnx"
"$root/build/skive" pack "$root/forms.onnx" -o "$root/forms.skv" -q >/dev/null
"$root/build/skive" bench "$root/forms.onnx" --runs 5 --seconds 0.01
echo "musl: the library and the command are built, and a model runs"
