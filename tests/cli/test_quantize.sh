#!/usr/bin/env bash
# quantize: nodes left in float, and what it says about them.
. "$(dirname "$0")/common.sh"
make_data

expect 0 'wrote m.onnx' "$skive" train mlp:16,8 --data $data --epochs 2 --batch 32 -o m.onnx

# A name of no node is a mistake, alone and among right ones; patterns are names too.
expect 13 "no node 'fc9'; the nearest names are 'fc" "$skive" quantize m.onnx --data $data --skip fc9 -o q.onnx
one_line
expect 13 "no node 'fc9'" "$skive" quantize m.onnx --data $data --skip fc1 --skip fc9 -o q.onnx
expect 13 "no node's name matches 'conv\*'" "$skive" quantize m.onnx --data $data --skip 'conv*' -o q.onnx
absent q.onnx
expect 0 'left in float: 2 Gemm \(1,[0-9]+ weights\): named to be left in float' \
    "$skive" quantize m.onnx --data $data --skip 'fc[12]' -o q.onnx
expect 0 '"count": 1' "$skive" quantize m.onnx --data $data --skip fc1 --json -o q.onnx
expect 6 'no node that can be quantized' "$skive" quantize m.onnx --data $data --skip 'fc*' -o q.onnx

finish
