#!/bin/bash
# Models that no single plan holds (an If here) are simplified, explained and timed in parts.
. "$(dirname "$0")/common.sh"
model=$here/../golden/subgraph.onnx
expect 0 'nodes [0-9]+ -> [0-9]+' "$skive" simplify "$model" -o simple.onnx
expect 0 '' "$skive" inspect simple.onnx
expect 0 'the model cannot be run as a whole' "$skive" explain "$model"
expect 0 'nodes outside a plan run separately' "$skive" explain "$model"
expect 0 '^separately: .* \(If\): its control flow depends on data' "$skive" explain "$model"
expect 0 '"by_themselves"' "$skive" explain "$model" --json
expect 0 '^unchanged: .* \(If\)' "$skive" simplify "$model" -o simple.onnx
expect 0 '"left"' "$skive" simplify "$model" -o simple.onnx --json
expect 0 '"plans"' "$skive" explain "$model" --json
expect 0 'latency  median' "$skive" bench "$model" --runs 2 --seconds 0

# ---- what is asked of the whole model has an answer; what is done layer by layer is refused, and says what is not ----
perl "$here/heads.pl" || exit 1
set=npy:x.npy,classes.npy
for kind in choice:If rounds:Loop; do
    IFS=: read -r name op <<<"$kind"
    expect 0 'latency  median' "$skive" bench $name.onnx --runs 2 --seconds 0
    reason="node '.*' \($op\): .* depends on data; such a model is not measured layer by layer: skive run, eval, compare"
    for work in "sensitivity $name.onnx" "compare $name.onnx $name.onnx --layers" "quantize $name.onnx --bytes 0.9 -o no.onnx" \
        "quantize $name.onnx --latency 0.9 -o no.onnx"; do
        expect 6 "$reason" "$skive" $work -d $set
        one_line
    done
    expect 6 "$reason" "$skive" cost $name.onnx
done
expect 0 'same class for 200 of 200' "$skive" compare choice.onnx choice.onnx -d $set --seconds 0.01
expect 0 '"latency_p50": [0-9]' "$skive" compare plain.onnx choice.onnx -d $set --seconds 0.01 --json
absent no.onnx
finish
