#!/usr/bin/env bash
# Installs a build into a temporary folder, moves that folder, and builds the examples and a test program against it, in C and C++, through
# pkg-config and through CMake. Usage: run.sh BUILD-FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
examples=$(cd "$here/../../examples" && pwd)
model=$(cd "$here/../golden" && pwd)/forms.onnx
build=$(cd "$1" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

env -u DESTDIR cmake --install "$build" --prefix "$root/first" --strip >/dev/null
mv "$root/first" "$root/usr" # pkg-config and CMake must find everything where it now is
lib=$(dirname "$(find "$root/usr" -name 'libskive.so' | head -n 1)")
# A packager's installation: the same files below DESTDIR, and none of them names that folder.
DESTDIR=$root/stage cmake --install "$build" --prefix /usr --strip >/dev/null
diff <(cd "$root/usr" && find . -type f | sort) <(cd "$root/stage/usr" && find . -type f | sort)
if [ "$(ls "$root/stage")" != usr ] || grep -rlF "$root" "$root/stage"; then
    echo "an installation below DESTDIR is not what one without is" >&2
    exit 1
fi
export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
flags() { pkg-config "$@" skive; }

for file in bin/skive share/man/man1/skive.1 share/doc/skive/LICENSE share/bash-completion/completions/skive share/zsh/site-functions/_skive; do
    [ -e "$root/usr/$file" ] || { echo "not installed: $file" >&2; exit 1; }
done
if readelf -S "$root/usr/bin/skive" | grep -q '\.debug_info'; then
    echo "the installed command is not stripped" >&2
    exit 1
fi
"$root/usr/bin/skive" --version

read -ra shared <<<"$(flags --cflags --libs)"
read -ra cflags <<<"$(flags --cflags)"
read -ra static <<<"$(flags --libs --static | sed 's/-lskive//')"
strict=(-Wall -Wextra -Werror)
cc -std=c11 "${strict[@]}" "$here/user.c" -o "$root/user_c" "${shared[@]}"
"$root/user_c"
c++ -std=c++17 "${strict[@]}" "$here/user.cpp" -o "$root/user_cpp" "${shared[@]}"
"$root/user_cpp"
cc -std=c11 "$here/user.c" -o "$root/user_static" "${cflags[@]}" "$lib/libskive.a" "${static[@]}"
"$root/user_static"

cc -std=c11 "${strict[@]}" "$examples/c/threads.c" -o "$root/threads" "${shared[@]}" -pthread
"$root/threads" "$model"
c++ -std=c++17 "${strict[@]}" "$examples/cpp/run.cpp" -o "$root/run" "${shared[@]}"
"$root/run" "$model"
cmake -S "$examples/cmake" -B "$root/cmake" -DCMAKE_PREFIX_PATH="$root/usr" >/dev/null
cmake --build "$root/cmake" >/dev/null
"$root/cmake/threads" "$model"
if command -v python3 >/dev/null; then python3 "$examples/python/run.py" "$lib/libskive.so" "$model"; fi
for program in threads run; do # a file that is no model: a message and exit status 1
    if "$root/$program" "$here/user.c" 2>"$root/told" || ! grep -q . "$root/told"; then
        echo "$program: a file that is no model was not refused" >&2
        exit 1
    fi
done

# The program that README.md shows: it compiles, runs, and tells when the model is missing.
{ awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' "$here/../../README.md"; echo 'int main(void) { static const float pixels[784]; return classify(pixels); }'; } >"$root/readme.c"
cc -std=c11 "${strict[@]}" "$root/readme.c" -o "$root/readme" "${shared[@]}"
(cd "$root" && cp "$model" int8.onnx && ./readme && rm int8.onnx && ! ./readme 2>told && grep -q int8.onnx told)

# Only the public functions may be visible from outside.
if nm -D --defined-only "$lib/libskive.so" | awk '{print $3}' | grep -v '^skive_' | grep .; then
    echo "the shared library shows symbols that are not skive_*" >&2
    exit 1
fi
echo "installed library: C, C++, static, CMake package, examples, visible symbols"
