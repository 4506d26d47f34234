#!/bin/bash
# Models that no single plan holds (an If here) are simplified, explained and timed in parts.
. "$(dirname "$0")/common.sh"
model=$here/../golden/subgraph.onnx
expect 0 'nodes [0-9]+ -> [0-9]+' "$skive" simplify "$model" -o simple.onnx
expect 0 '' "$skive" inspect simple.onnx
expect 0 'one plan cannot run this model' "$skive" explain "$model"
expect 0 'nodes outside a plan run separately' "$skive" explain "$model"
expect 0 '^separately: .* \(If\): its control flow depends on data' "$skive" explain "$model"
expect 0 '"by_themselves"' "$skive" explain "$model" --json
expect 0 '^unchanged: .* \(If\)' "$skive" simplify "$model" -o simple.onnx
expect 0 '"left"' "$skive" simplify "$model" -o simple.onnx --json
expect 0 '"plans"' "$skive" explain "$model" --json
expect 0 'latency  median' "$skive" bench "$model" --runs 2 --seconds 0
finish
