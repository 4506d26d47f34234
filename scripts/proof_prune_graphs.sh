#!/usr/bin/env bash
# The proof of pruning that needs no training. Writes docs/results/pruning-graphs.md. Usage: proof_prune_graphs.sh BUILD-FOLDER [MODELS [IMAGES]]
#   MODELS: a folder of ONNX files; IMAGES: an archive of JPEG files (.tar.xz)
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
models=${2:-../shared/models}
images=${3:-../shared/data/cifar10-jpeg.tar.xz}
skive=$build/skive
page=docs/results/pruning-graphs.md
python=$(tests/oracle/setup.sh)
mkdir -p docs/results
work=$(mktemp)
trap 'rm -f "$work"' EXIT
export OMP_NUM_THREADS=1
failed=0
{
    echo "# Pruning without training"
    echo
    echo "\`make proof-prune\`, $("$skive" --version | head -1), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)."
    echo
    echo "## Nothing is lost: \`--lossless\`"
    echo
    echo "10,000 samples each, half of them random, half photographs where the model takes images; numbers of the outputs"
    echo "that differ before and after."
    echo
    echo '```'
} >"$work"
photographs=()
[ ! -e "$images" ] || photographs=(--images "$images")
"$python" tests/oracle/check_lossless.py "$skive" "${photographs[@]}" "$models"/mlperf-tiny/*int8*.onnx \
    "$models"/mlperf-tiny/*quant*.onnx >>"$work" || failed=1
{
    echo '```'
    echo
    echo "## What goes is really gone: 30 % of the channels"
    echo
    echo "Of every family 30 % of the channels, at random and those of least L1 norm, are removed; the same network with these"
    echo "channels masked to zero is the reference. Differences are the largest, relative to the largest output, of three"
    echo "inputs in onnxruntime, and at most 1e-5; the ONNX checker accepts every file. Times are processor times of one"
    echo "sample in skive on one thread, the least of dense and pruned network in turns. At random exactly the share goes. By"
    echo "L1 what remains is rounded to 16 channels, the block of the convolution kernels, where a family has 32 or more, as"
    echo "\`skive prune\` does by measurement: a 3x3 convolution of 32x32 positions from 22 to 22 channels takes as long as"
    echo "one from 32 to 32 (131 and 127 us where that was measured), one from 16 to 16 a quarter of it (33 us)."
    echo
} >>"$work"
"$python" tests/oracle/proof_prune.py "$skive" --models "$models" >>"$work" || failed=1
mv "$work" "$page"
chmod 644 "$page"
trap - EXIT
echo "wrote $page"
exit $failed
