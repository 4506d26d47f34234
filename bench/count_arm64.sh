#!/usr/bin/env bash
# Instructions of one inference on AArch64, in thousands, of skive at its levels and of onnxruntime's wheel, counted by qemu on one thread
# (docs/portability.md). A process runs a model A times, another B times, and the difference is divided by B - A: what is done
# once does not count. Needs what scripts/cross_test.sh aarch64 needs, its build in build-aarch64, and onnxruntime's and numpy's
# wheels from PyPI. Usage: count_arm64.sh [--ort-only] MODEL.onnx ...
set -euo pipefail
cd "$(dirname "$0")/.."
ort_only=0
[ "${1:-}" = --ort-only ] && { ort_only=1; shift; }
[ $# -gt 0 ] || { echo "usage: count_arm64.sh [--ort-only] MODEL.onnx ..." >&2; exit 2; }
[ $ort_only = 1 ] || [ -x build-aarch64/skive ] || { echo "count_arm64: build-aarch64/skive is not built" >&2; exit 1; }
few=20 many=220 cpu=max,sve=off
root=$(PACKAGES="python3 libstdc++6" scripts/cross_root.sh arm64 "${XDG_CACHE_HOME:-$HOME/.cache}/skive/arm64-python")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -shared -fPIC -o "$work/count.so" bench/qemu_count.c

# The wheels, for the Python of the folder.
site=$root/site
python=$(cd "$root/usr/bin" && echo python3.[0-9]*[0-9] | cut -d ' ' -f 1)
if [ ! -f "$site/.complete" ]; then
    version=$(sed -n 's/^onnxruntime==//p' tests/oracle/requirements.txt)
    "$(tests/oracle/setup.sh)" -m pip download -q --only-binary :all: --no-deps --python-version "${python#python}" --implementation cp \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 -d "$work" \
        "onnxruntime${version:+==$version}" numpy flatbuffers packaging
    for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$site"; done
    touch "$site/.complete"
fi
# onnxruntime ends with a segmentation fault where it finds an x86's description of processors: qemu shows the folder's
# /proc and /sys instead, of one Neoverse V1.
if [ ! -f "$root/proc/cpuinfo" ]; then
    cpus=$root/sys/devices/system/cpu
    mkdir -p "$root/proc" "$cpus/cpu0/topology"
    printf '%s\n' 'processor : 0' 'BogoMIPS : 100.00' 'Features : fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm lrcpc asimddp i8mm bf16' \
        'CPU implementer : 0x41' 'CPU architecture: 8' 'CPU variant : 0x1' 'CPU part : 0xd40' 'CPU revision : 1' '' >"$root/proc/cpuinfo"
    for file in kernel_max possible present online cpu0/topology/{physical_package_id,core_id,core_siblings_list,cluster_cpus_list,thread_siblings_list,package_cpus_list}; do
        echo 0 >"$cpus/$file"
    done
fi

export OMP_NUM_THREADS=1 PYTHONHASHSEED=0
counted() { # COMMAND...: the instructions of one run of a program for AArch64
    qemu-aarch64 -L "$root" -cpu "$cpu" -plugin "$work/count.so" -d plugin "$@" 2>&1 >/dev/null | sed -n 's/^instructions: //p'
}
skive_runs() { counted -E SKIVE_ISA="$level" build-aarch64/skive bench "$model" --seconds 0 --top 0 -t 1 -n "$1"; }
ort_runs() { counted -E PYTHONHOME="$root/usr" -E PYTHONPATH="$site" "$root/usr/bin/$python" -S bench/peers/count_ort.py "$model" "$1"; }
one() { echo $((($("$1" $many) - $("$1" $few)) / ((many - few) * 1000))); }

for model in "$@"; do
    echo "$(basename "$model"):"
    for level in $([ $ort_only = 1 ] || echo scalar neon dotprod i8mm); do printf '  skive %-8s %7d\n' "$level" "$(one skive_runs)"; done
    printf '  %-14s %7d\n' onnxruntime "$(one ort_runs)"
done
