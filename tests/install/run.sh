#!/usr/bin/env bash
# Installs a build into a temporary folder and builds ten-line programs against it, in C and C++, through pkg-config and
# through CMake. Usage: run.sh BUILD-FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

cmake --install "$build" --prefix "$root/usr" >/dev/null
lib=$(dirname "$(find "$root/usr" -name 'libskive.so' | head -n 1)")
# The .pc file names the configured prefix; the test looks where it was installed to.
export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
flags() { pkg-config --define-variable=prefix="$root/usr" "$@" skive; }

cc -std=c11 -Wall -Wextra -Werror "$here/user.c" -o "$root/user_c" $(flags --cflags --libs)
"$root/user_c"
c++ -std=c++17 -Wall -Wextra -Werror "$here/user.cpp" -o "$root/user_cpp" $(flags --cflags --libs)
"$root/user_cpp"
cc -std=c11 "$here/user.c" -o "$root/user_static" $(flags --cflags) "$lib/libskive.a" $(flags --libs --static | sed 's/-lskive//')
"$root/user_static"
cmake -S "$here" -B "$root/cmake" -DCMAKE_PREFIX_PATH="$root/usr" >/dev/null
cmake --build "$root/cmake" >/dev/null
"$root/cmake/user"
# Only the public functions may be visible from outside.
if nm -D --defined-only "$lib/libskive.so" | awk '{print $3}' | grep -v '^skive_' | grep .; then
    echo "the shared library shows symbols that are not skive_*" >&2
    exit 1
fi
echo "installed library: C, C++, static, CMake package, visible symbols"
