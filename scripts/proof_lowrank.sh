#!/usr/bin/env bash
# Measures low-rank factorization and writes docs/results/lowrank.md. Usage: proof_lowrank.sh SKIVE
# MNIST (four IDX files) is in $SKIVE_MNIST, the models of others in $SKIVE_MODELS; needs the Python of tests/oracle/setup.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
python=$(tests/oracle/setup.sh) || { echo "proof-lowrank: no Python with onnxruntime: nothing is measured" >&2; exit 0; }
mnist=${SKIVE_MNIST:-../shared/data/mnist} models=${SKIVE_MODELS:-../shared/models}
for folder in "$mnist" "$models"; do
    [ -d "$folder" ] || { echo "proof-lowrank: $folder is missing; set SKIVE_MNIST and SKIVE_MODELS" >&2; exit 2; }
done
mkdir -p docs/results
"$python" scripts/proof_lowrank.py "$skive" "$(realpath "$mnist")" "$(realpath "$models")" >docs/results/lowrank.new
mv docs/results/lowrank.new docs/results/lowrank.md
echo "wrote docs/results/lowrank.md"
