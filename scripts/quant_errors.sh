#!/usr/bin/env bash
# Writes docs/results/quantization-grids.md: the error of every number grid on every layer of a real model. Needs the
# model and a folder of images (CIFAR-10 as JPEG); takes some minutes.
# Usage: quant_errors.sh SKIVE pretrainedResnet.onnx CIFAR-FOLDER [SAMPLES]
set -euo pipefail
skive=$(realpath "$1") model=$2 data=$3 n=${4:-500}
out=$(dirname "$0")/../docs/results/quantization-grids.md
"$skive" sensitivity "$model" --data "folder:$data" --scale none --mean none --split test --limit "$n" \
    --grids all --weights-only --by kl --json -q | perl "$(dirname "$0")/quant_errors.pl" "$(basename "$model")" >"$out.new"
mv "$out.new" "$out"
