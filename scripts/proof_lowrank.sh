#!/usr/bin/env bash
# Measures low-rank factorization. Figures are kept in docs/results/lowrank.tsv, and docs/results/lowrank.md is made from them.
#     proof_lowrank.sh SKIVE
# Environment: ONLY (a pattern on names of rows: 'lenet5-*'), SEEDS (instead of those of the rows: "1 2"), FRESH=1 (rows that
# are there are measured anew), LIST=1 (print the names of the rows and whether they are there), SMOKE=1 (every row with very few
# samples; table and page in $SKIVE_PROOF_WORK/smoke, not in docs), SKIVE_PROOF_WORK (trained nets, default
# ~/.cache/skive/proof/lowrank), SKIVE_MNIST (folder of its files), SKIVE_MODELS (models of others), CIFAR10
# (cifar10-jpeg.tar.xz or its folder); these three in ../shared unless told.
# Needs the Python of tests/oracle/setup.sh and Debian's dataset-fashion-mnist.
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
python=$(tests/oracle/setup.sh) || { echo "proof-lowrank: no Python with onnxruntime: nothing is measured" >&2; exit 0; }
SKIVE_MNIST=$(realpath -m "${SKIVE_MNIST:-../shared/data/mnist}")
SKIVE_MODELS=$(realpath -m "${SKIVE_MODELS:-../shared/models}")
CIFAR10=$(realpath -m "${CIFAR10:-../shared/data/cifar10-jpeg.tar.xz}")
for folder in "$SKIVE_MNIST" "$SKIVE_MODELS"; do
    [ -d "$folder" ] || { echo "proof-lowrank: $folder is missing; set SKIVE_MNIST and SKIVE_MODELS" >&2; exit 2; }
done
export SKIVE_MNIST SKIVE_MODELS CIFAR10
"$python" scripts/proof_lowrank.py "$skive"
