#!/usr/bin/env bash
# Quantization-aware training on Fashion-MNIST against the same grids without training: a row each in
# docs/results/quantization-aware.md, with onnxruntime's answer for the exported files. Every row that fails is printed.
# Usage: proof_qat.sh SKIVE [FOLDER]. The float networks are trained once and kept in FOLDER.
# Settings: SAMPLES (20000), FLOAT_EPOCHS (6), EPOCHS (3), NETWORKS ("lenet5 resnet8").
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$1
work=${2:-proof-qat}
samples=${SAMPLES:-20000} float_epochs=${FLOAT_EPOCHS:-6} epochs=${EPOCHS:-3}
images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
labels=/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz
page=docs/results/quantization-aware.md
mkdir -p "$work" docs/results
python=$(tests/oracle/setup.sh)
rows=$work/rows.md
failed=0
: >"$rows"

# row NETWORK NAME OPTION...
row() {
    local network=$1 name=$2
    shift 2
    local file=$work/$network-${name// /-}
    if ! "$skive" quantize "$work/$network.onnx" --data fashion-mnist --limit "$samples" --qat --epochs "$epochs" "$@" \
        -o "$file.onnx" --json >"$file.json" 2>"$file.log"; then
        echo "| $network | $name | failed: $(tail -1 "$file.log") |||||" | tee -a "$rows"
        failed=1
        return
    fi
    "$python" tests/oracle/check_quantized.py "$file.onnx" "$images" "$labels" --skive "$skive" >"$file.oracle" || failed=1
    "$python" - "$network" "$name" "$file" <<'PY' | tee -a "$rows"
import json, re, sys
network, name, file = sys.argv[1:]
j = json.load(open(file + '.json'))
t, oracle = j['test'], open(file + '.oracle').read()
classes = re.findall(r'(\d+) classes differ', oracle)
print(f"| {network} | {name} | {t['float']:.2f} | {t['untrained']:.2f} | {t['trained']:.2f} | {t['difference']:+.2f} "
      f"({t['low']:+.2f} to {t['high']:+.2f}) | {j['packed_bytes']:,} | {' / '.join(classes)} |")
PY
}

for network in ${NETWORKS:-lenet5 resnet8}; do
    [ -e "$work/$network.onnx" ] || "$skive" train "$network" --data fashion-mnist --limit "$samples" \
        --epochs "$float_epochs" -q -o "$work/$network.onnx"
    row "$network" "W4A4" --weights int4 --activations uint4
    row "$network" "W3A3" --weights int3 --activations uint3
    row "$network" "W2A2" --weights int2 --activations uint2
    row "$network" "ternary (TWN)" --weights ternary --weight-rule fit
    row "$network" "ternary (TTQ)" --weights ternary --weight-rule ttq
    row "$network" "binary (BWN)" --weights binary --weight-rule fit
    row "$network" "INQ 5 bit" --weights log2 --weight-rule inq --activations float
done
{
    echo "# Quantization-aware training"
    echo
    echo "\`make proof-quant\` (scripts/proof_qat.sh): Fashion-MNIST, $samples training samples, $float_epochs epochs for the float networks, $epochs of"
    echo "quantization-aware training, accuracy on the 10,000 test images in percent, the difference to float with its paired 95 %"
    echo "interval, bytes of the parameters at the bits of their grids, and the classes that differ in onnxruntime, without and"
    echo "with its optimizations. First and last product have 8 bits except with INQ."
    echo
    echo "| network | grid | float | without training | trained | difference | bytes | classes that differ |"
    echo "|---|---|---:|---:|---:|---|---:|---:|"
    cat "$rows"
} >"$page"
echo "wrote $page"
exit $failed
