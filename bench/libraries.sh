#!/usr/bin/env bash
# Single convolutions in skive, XNNPACK, LIBXSMM and oneDNN 3, in turns: docs/results/libraries.md.
#     bench/libraries.sh BUILD [WORK]        BUILD: a release build of skive with its shared library
# Installs Debian's libxnnpack-dev, libpthreadpool-dev and libxsmm-dev, and takes oneDNN 3.2 from PyPI (onednn-cpu-gomp), all
# for this measurement only. ROUNDS, ONLY (a pattern on names). WORK: default ~/.cache/skive/libraries
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "$1") work=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/libraries}
mkdir -p "$work/rows"
for package in libxnnpack-dev libpthreadpool-dev libxsmm-dev; do
    dpkg -s "$package" >/dev/null 2>&1 || apt-get install -y -qq "$package" >/dev/null
done
if ! ls "$work"/onednn/*/data/lib/libdnnl.so.3.2 >/dev/null 2>&1; then
    python3 -m pip download -q --no-deps -d "$work" onednn-cpu-gomp==2023.2.0 onednn-devel-cpu-gomp==2023.2.0
    for wheel in "$work"/onednn*.whl; do python3 -m zipfile -e "$wheel" "$work/onednn"; done
fi
lib=$(dirname "$(ls "$work"/onednn/*/data/lib/libdnnl.so.3.2)") include=$(dirname "$(ls "$work"/onednn/*/data/include/dnnl.h)")
compile() { # NAME OPTIONS...
    gcc -O2 -std=gnu11 -Wall -Wextra -Iinclude bench/peers/convolution.c -o "$work/conv-$1" "${@:2}"
}
compile skive -DPEER_SKIVE "-L$build" -lskive "-Wl,-rpath,$build"
compile xnnpack -DPEER_XNNPACK -lXNNPACK
compile libxsmm -DPEER_LIBXSMM -lxsmm -lxsmmnoblas -ldl -lpthread -lm
compile onednn -DPEER_ONEDNN "-I$include" "$lib/libdnnl.so.3.2" "-Wl,-rpath,$lib"

export OMP_NUM_THREADS=1
while IFS='|' read -r name shape type what; do
    # shellcheck disable=SC2053 # a pattern
    [[ $name == ${ONLY:-*} ]] || continue
    peers=(--peer "XNNPACK:$work/conv-xnnpack $shape $type" --peer "oneDNN:$work/conv-onednn $shape $type")
    [[ $type == f32 && $shape == *,1,1,1,1 ]] && peers+=(--peer "LIBXSMM:$work/conv-libxsmm $shape $type")
    python3 bench/interleave.py --row "$name" --ours "$work/conv-skive $shape $type" "${peers[@]}" --count 20 \
        --rounds "${ROUNDS:-9}" --out "$work/rows" >/dev/null || { echo "libraries: $name failed" >&2; continue; }
    echo "$name|$shape|$type|$what" >"$work/rows/$name.what"
done <<'ROWS'
first-3x3-s2|3,224,224,32,3,3,2,1|f32|first layer of MobileNet
pointwise-16-96|16,56,56,96,1,1,1,1|f32|expansion
pointwise-96-24|96,56,56,24,1,1,1,1|f32|projection
pointwise-24-88|24,28,28,88,1,1,1,1|f32|few channels
pointwise-64-64|64,56,56,64,1,1,1,1|f32|
pointwise-2048-512|2048,7,7,512,1,1,1,1|f32|last stage of ResNet-50
3x3-64-64|64,56,56,64,3,3,1,1|f32|ResNet
3x3-17-19|17,33,33,19,3,3,1,1|f32|odd sizes
grouped-232|232,28,28,232,3,3,2,29|f32|RegNet
depthwise-3x3-32|32,112,112,32,3,3,1,32|f32|
depthwise-3x3-144-s2|144,56,56,144,3,3,2,144|f32|
depthwise-5x5-240|240,28,28,240,5,5,1,240|f32|MobileNetV3
depthwise-7x7-96|96,56,56,96,7,7,1,96|f32|ConvNeXt
conv1d-40-64-k9|40,1,101,64,1,9,1,1|f32|keyword spotter
conv1d-128-128-k8|128,1,2048,128,1,8,1,1|f32|pitch tracker
conv1d-depthwise-k9|64,1,101,64,1,9,1,64|f32|keyword spotter
int8-first-3x3-s2|3,224,224,32,3,3,2,1|int8|
int8-pointwise-16-96|16,56,56,96,1,1,1,1|int8|
int8-pointwise-32-16|32,112,112,16,1,1,1,1|int8|
int8-pointwise-96-24|96,56,56,24,1,1,1,1|int8|
int8-pointwise-64-64|64,56,56,64,1,1,1,1|int8|
int8-3x3-64-64|64,56,56,64,3,3,1,1|int8|
int8-depthwise-3x3-96|96,56,56,96,3,3,1,96|int8|
int8-depthwise-5x5-240|240,28,28,240,5,5,1,240|int8|
ROWS

python3 - "$work/rows" >docs/results/libraries.md <<'PY'
import glob, json, os, sys
print("""# Single convolutions in other libraries

Made by `bench/libraries.sh` (`bench/peers/convolution.c`), one thread, batch 1. Medians of what each takes, measured in turns;
behind a peer's time the median of the ratios peer / skive of the rounds, above 1 where skive is faster. Each library has
weights arranged before and the layout it likes best; of skive the step of the convolution in its plan is counted. XNNPACK is
Debian 12's (February 2022; int8 is its qc8), LIBXSMM 1.17 is tried where a window has one place (products of 64 places),
oneDNN 3.2 is from PyPI; skive itself is built with oneDNN 2.6 beside its own kernels. On processors without VNNI oneDNN
adds two products of a uint8 and an int8 in 16 bits, which saturates with weights beyond 64: its int8 figures there are not of
the same arithmetic; skive's and XNNPACK's sums are exact everywhere.
""")
rows = []
for path in glob.glob(sys.argv[1] + "/*.json"):
    what = path[:-5] + ".what"
    if os.path.exists(what):
        name, shape, kind, text = open(what).read().strip("\n").split("|")
        rows.append((kind, name, shape, text, json.load(open(path))))
order = [line.split("|")[0] for line in open("bench/libraries.sh") if line.count("|") == 3 and line[0].isalnum()]
rows.sort(key=lambda r: order.index(r[1]) if r[1] in order else 99)
if rows:
    print("Machine: %s.\n" % rows[0][4]["machine"])
print("| convolution | channels, size, filters, window, stride, groups | skive, ms | XNNPACK | oneDNN 3.2 | LIBXSMM |")
print("|---|---|---:|---:|---:|---:|")
for kind, name, shape, text, r in rows:
    peers = {p["label"]: p for p in r["peers"]}
    def cell(label):
        p = peers.get(label)
        return "-" if not p or "ratio" not in p else "%.3f (%.2f)" % (1e3 * p["median_seconds"], p["ratio"])
    c, h, w, m, kh, kw, s, g = shape.split(",")
    print("| %s | %s, %sx%s, %s, %sx%s, %s, %s | %.3f | %s | %s | %s |" % (
        name + (", " + text if text else ""), c, h, w, m, kh, kw, s, g, 1e3 * r["skive"]["median_seconds"], cell("XNNPACK"), cell("oneDNN"), cell("LIBXSMM")))
PY
echo "wrote docs/results/libraries.md"
