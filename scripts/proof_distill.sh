#!/usr/bin/env bash
# The proof of distillation on real data: scripts/proof_distill.py has the scenes. Figures are kept in
# docs/results/distillation.tsv, and the page docs/results/distillation.md is made from them.
#     proof_distill.sh SKIVE [FOLDER]      FOLDER: networks that are made, default ~/.cache/skive/proof; those of
#                                          proof_train.sh are taken from there, or made by it
# Environment: FULL=1 (all samples, as many epochs as the goals mean, three seeds: about twelve core-hours; otherwise
# a small setting of minutes a scene), ONLY (a pattern on names of scenes), FRESH=1 (figures are made anew), SEEDS, THREADS,
# MNIST (folder with its files), CIFAR10 (cifar10-jpeg.tar.xz or its folder), both in ../shared/data unless told.
# Needs the Python of tests/oracle/setup.sh, Debian's dataset-fashion-mnist and, for the Transformer, fortunes.
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
out=$(realpath -m "${2:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/proof}")
mkdir -p "$out"
python=$(tests/oracle/setup.sh) || { echo "proof-distill: no Python with numpy and onnx: nothing is measured" >&2; exit 0; }
MNIST=$(realpath -m "${MNIST:-../shared/data/mnist}") CIFAR10=$(realpath -m "${CIFAR10:-../shared/data/cifar10-jpeg.tar.xz}")
export MNIST CIFAR10
"$python" scripts/proof_distill.py "$skive" "$out"
