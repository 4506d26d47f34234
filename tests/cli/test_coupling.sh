#!/usr/bin/env bash
# inspect --coupling: the groups of channels, and what keeps the others.
. "$(dirname "$0")/common.sh"

expect 0 'wrote resnet.onnx' "$skive" zoo resnet8 -o resnet.onnx
expect 0 'layer .*channels .*can go .*group' "$skive" inspect resnet.onnx --coupling
expect 0 'it is an output of the model: logits' "$skive" inspect resnet.onnx --coupling
expect 0 '^group 1, [0-9]+ channels:.*\[0\]' "$skive" inspect resnet.onnx --coupling
expect 0 '[0-9]+ channels can be removed' "$skive" inspect resnet.onnx --coupling
expect 0 '"removable": [1-9]' "$skive" inspect resnet.onnx --coupling --json
for key in '"groups"' '"why": "it is an output of the model"' '"by": "logits"' '"slices": 1' '"axis": 0'; do
    expect 0 "$key" "$skive" inspect resnet.onnx --coupling --json
done
expect 2 'give one' "$skive" inspect resnet.onnx --coupling --graph

# Widths that a Reshape splits into heads, and statistics over channels.
expect 0 "wrote tr.onnx" "$skive" zoo transformer -o tr.onnx
expect 0 "; LayerNormalization takes mean and variance over this axis" "$skive" inspect tr.onnx --coupling
expect 0 "group [0-9]+, [0-9]+ channels: .* x4" "$skive" inspect tr.onnx --coupling

finish
