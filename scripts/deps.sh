#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a target needs and that are missing, saying which; quick and silent when
# all are there. A package has other names in other releases: what is installed counts first, then what apt offers.
# What is optional and not to be had is named with what is lost, and the work goes on.
# Usage: deps.sh [--list] TARGET ...
#   runtime   what a built skive needs to run
#   build     what building the command and the library needs
#   demo      the data set of `make demo`
#   test      what `make test` needs besides, including the ONNX backend suite and a Python for the comparisons with onnxruntime
#   lint      clang, sanitizers and fuzzing (`make test-all`), clang-format and clang-tidy (`make lint`)
#   cross     compilers for other processors and the emulator (scripts/cross_test.sh, `make test-machines`)
# With --list the packages are printed, one a line, and nothing is installed.
set -euo pipefail

# One package a line: names by preference with | between them; what is optional ends with : and what is lost without it.
packages_of() {
    case $1 in
        runtime) cat <<'END' ;;
libdnnl3.6 | libdnnl3 | libdnnl2 : built with oneDNN, skive does not start
libprotobuf-c1
libjansson4
libpng16-16t64 | libpng16-16
libjpeg62-turbo | libjpeg-turbo8 | libjpeg8
zlib1g
libsndfile1 : built with libsndfile, skive does not start
liblapacke : skive's own code factorizes matrices, slower
libopenblas0 : LAPACKE runs on slower routines
libgomp1
END
        build) cat <<'END' ;;
gcc
libc6-dev
make
cmake
ninja-build
pkg-config | pkgconf
libprotobuf-c-dev
protobuf-c-compiler
libonnx-dev
libjansson-dev
libpng-dev
libjpeg-dev | libjpeg62-turbo-dev | libjpeg-turbo8-dev
zlib1g-dev
libsndfile1-dev : sounds are not read
liblapacke-dev : skive's own code factorizes matrices, slower
libopenblas0 : LAPACKE runs on slower routines
libdnnl-dev : skive's own kernels do all the work
END
        demo) cat <<'END' ;;
dataset-fashion-mnist
END
        test) cat <<'END' ;;
libcmocka-dev
perl
g++ : the installed library is not tried from C++
libonnx-testdata : the ONNX backend suite is not run
dataset-fashion-mnist : tests on real images are not run
python3 : nothing is compared with onnxruntime
python3-venv : nothing is compared with onnxruntime
END
        lint) cat <<'END' ;;
clang
clang-format
clang-tidy
lld : the sanitizers' programs take longer to link
libclang-rt-dev | libclang-rt-19-dev | libclang-rt-18-dev | libclang-rt-14-dev
libomp-dev | libomp-19-dev | libomp-18-dev | libomp-14-dev
shellcheck
qemu-user : no other processor is tried
ccache : what was compiled before is compiled again
END
        cross) cat <<'END' ;;
gcc-aarch64-linux-gnu : AArch64 is not tried
gcc-riscv64-linux-gnu : RISC-V is not tried
gcc-s390x-linux-gnu : s390x, a big-endian processor, is not tried
qemu-user : no other processor is tried
debian-archive-keyring : no other processor is tried
END
        *) return 1 ;;
    esac
}

# oneDNN's kernels are used on x86-64 only.
for_this_processor() {
    if [ "$(uname -m)" = x86_64 ]; then cat; else sed '/^libdnnl/d'; fi
}

list=0
[ "${1:-}" = --list ] && { list=1; shift; }
[ $# -gt 0 ] || set -- build
entries=()
for target in "$@"; do
    lines=$(packages_of "$target" | for_this_processor) || { echo "deps: no target '$target'; there are runtime, build, demo, test, lint and cross" >&2; exit 2; }
    mapfile -t -O ${#entries[@]} entries <<<"$lines"
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    [ $list = 1 ] && { printf '%s\n' "${entries[@]}"; exit 0; }
    echo "deps: no apt-get here: nothing is installed; docs/portability.md names what is needed" >&2
    exit 0
fi

installed() { [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }
offered() { [ -n "$(apt-cache show --no-all-versions "$1" 2>/dev/null)" ]; }

# names ENTRY, loss ENTRY: the two parts of an entry
names() { tr -d ' ' <<<"${1%% : *}" | tr '|' '\n'; }
loss() { [[ $1 == *' : '* ]] && echo "${1##* : }" || true; }

# first TEST ENTRY: the first of an entry's names that passes a test
first() {
    local name
    for name in $(names "$2"); do
        "$1" "$name" && { echo "$name"; return; }
    done
    return 1
}

if [ $list = 1 ]; then
    for entry in "${entries[@]}"; do
        first installed "$entry" || first offered "$entry" || names "$entry" | head -n 1
    done
    exit 0
fi

missing=()
for entry in "${entries[@]}"; do
    first installed "$entry" >/dev/null || missing+=("$entry")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
may_install=1
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null; then as_root=(sudo); else may_install=0; fi
fi
export DEBIAN_FRONTEND=noninteractive
if [ $may_install = 1 ] && ! "${as_root[@]}" apt-get update -qq; then
    echo "deps: the lists of packages could not be brought up to date; going on with what is known" >&2
fi

wanted=()
for entry in "${missing[@]}"; do
    if name=$(first offered "$entry"); then
        [ $may_install = 1 ] || [ -z "$(loss "$entry")" ] || { echo "deps: $name is optional and missing: $(loss "$entry")" >&2; continue; }
        wanted+=("$name")
    elif [ -n "$(loss "$entry")" ]; then
        echo "deps: this release has no $(names "$entry" | paste -sd ' ' | sed 's/ / or /g'): $(loss "$entry")" >&2
    else
        echo "deps: this release has no $(names "$entry" | paste -sd ' ' | sed 's/ / or /g'), which is needed" >&2
        exit 1
    fi
done
[ ${#wanted[@]} -eq 0 ] && exit 0
if [ $may_install = 0 ]; then
    echo "deps: not root and no sudo; install by hand: apt-get install ${wanted[*]}" >&2
    exit 1
fi
echo "deps: installing ${wanted[*]}"
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
