#!/usr/bin/env bash
# The sources as `make dist` gives them: unpacked in a folder whose name has blanks and letters beyond ASCII, without git, and used from
# another project, by add_subdirectory and by FetchContent. Usage: archive.sh     (exit 77: not in a clone)
# Everything is configured; the other project is compiled in full with SKIVE_EMBED=full, which takes minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
command -v git >/dev/null && git -C "$top" rev-parse --git-dir >/dev/null 2>&1 || { echo "skipped: not in a clone"; exit 77; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
work="$root/Große Modelle & Netze"
mkdir "$work"

"$top/scripts/dist.sh" "$work" 2>/dev/null
"$top/scripts/dist.sh" "$root" >/dev/null 2>&1
cmp "$work"/skive-*.tar.gz "$root"/skive-*.tar.gz || { echo "two archives of one commit differ" >&2; exit 1; }
tar -xf "$work"/skive-*.tar.gz -C "$work"
skive=$(find "$work" -maxdepth 1 -type d -name 'skive-*')
[ ! -e "$skive/.git" ]

# By itself: the command and the tests are there.
cmake -S "$skive" -B "$skive/build" -G Ninja >/dev/null
ninja -C "$skive/build" -t query test_base >/dev/null
ninja -C "$skive/build" -n skive skive_shared >/dev/null

# In another project: its own build type, standard and targets, no tests, nothing installed.
# project NAME HOW: a program that is linked with the static and the shared library
project() {
    local name=$1 how=$2
    mkdir -p "$work/$name"
    cp "$here/user.c" "$work/$name/user.c"
    cat >"$work/$name/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(outer C)
enable_testing()
$how
foreach(kind skive skive_static)
  add_executable(with_\${kind} user.c)
  target_link_libraries(with_\${kind} PRIVATE skive::\${kind})
endforeach()
foreach(name skive test_base bench_train)
  if(TARGET \${name})
    message(FATAL_ERROR "\${name} was not asked for")
  endif()
endforeach()
END
    cmake -S "$work/$name" -B "$work/$name/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug >/dev/null
    cmake -S "$work/$name" -B "$work/$name/plain" -G Ninja >/dev/null
    grep -q '^CMAKE_BUILD_TYPE:STRING=$' "$work/$name/plain/CMakeCache.txt" || { echo "$name: skive set the build type of the outer project" >&2; exit 1; }
    # What other folders' names stand for is made, a file of the library and the program are compiled, the rest could be.
    cmake --build "$work/$name/build" --target onnx_schema >/dev/null
    ninja -C "$work/$name/build" -t targets all >"$work/targets"
    ninja -C "$work/$name/build" "$(sed -n 's/^\(.*src\/base\/status\.c\.o\): .*/\1/p' "$work/targets")" \
        CMakeFiles/with_skive_static.dir/user.c.o >/dev/null
    ninja -C "$work/$name/build" -n >/dev/null
    [ "${SKIVE_EMBED:-}" = full ] || return 0
    cmake --build "$work/$name/build" >/dev/null
    "$work/$name/build/with_skive"
    "$work/$name/build/with_skive_static"
    DESTDIR=$root/stage cmake --install "$work/$name/build" >/dev/null
    [ ! -e "$root/stage" ] || [ -z "$(find "$root/stage" -type f)" ] || { echo "$name: skive was installed unasked" >&2; exit 1; }
}
project subdirectory "add_subdirectory(\"../$(basename "$skive")\" skive-build)"
project fetched "include(FetchContent)
FetchContent_Declare(skive URL \"$(find "$work" -maxdepth 1 -name '*.tar.gz')\")
FetchContent_MakeAvailable(skive)"
echo "archive: without git, with blanks and umlauts, add_subdirectory, FetchContent${SKIVE_EMBED:+ ($SKIVE_EMBED)}"
