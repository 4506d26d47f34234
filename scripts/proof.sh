#!/usr/bin/env bash
# The long proof: the demo's models give the same classes in onnxruntime as in skive, over the 10,000 test images. Writes
# docs/results/oracle.md. Usage: proof.sh BUILD-FOLDER [DEMO-FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$1/skive
demo=${2:-demo-out}
images=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
labels=/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz
page=docs/results/oracle.md
[ -e "$demo/int8.onnx" ] || scripts/demo.sh "$skive" "$demo"
python=$(tests/oracle/setup.sh)
mkdir -p docs/results
work=$(mktemp)
trap 'rm -f "$work"' EXIT
{
    echo "# The demo's models in onnxruntime"
    echo
    echo "\`make proof\`: each model runs on the 10,000 test images of Fashion-MNIST in skive and in"
    "$python" -c 'import onnxruntime; print("onnxruntime", onnxruntime.__version__ + "; the differing predicted classes are counted.")'
    echo
    echo '```'
} >"$work"
failed=0
for name in teacher student pruned int8; do
    read -r mean std < <("$skive" inspect "$demo/$name.onnx" | sed -n 's/^input normalisation  mean \([0-9.]*\)  std \([0-9.]*\)$/\1 \2/p')
    echo "== $name" | tee -a "$work"
    "$python" tests/oracle/check_model.py "$demo/$name.onnx" --skive "$skive" --data "$images" --labels "$labels" \
        --mean "$mean" --std "$std" --allow-differing 20 | sed "s|$demo/||" | tee -a "$work" || failed=1
done
echo '```' >>"$work"
mv "$work" "$page"
chmod 644 "$page"
trap - EXIT
echo "wrote $page"
exit $failed
