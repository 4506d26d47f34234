#!/bin/bash
# --augment in training: mixed labels, what is refused, and the same result whatever the number of loader threads.
. "$(dirname "$0")/common.sh"
make_data
train() { "$skive" train "$1" -d $data -e 8 -b 20 --lr 0.1 --threads 1 --augment "$2" -o "$3"; }
for list in mixup cutmix mixup:1,cutmix:1 crop:1,mixup:probability=0.5; do
    expect 0 'validation (9[0-9]|100)' train mlp:16 $list m.onnx
    expect 0 'accuracy +(9[0-9]|100)' "$skive" eval m.onnx -d $data --split validation
done
expect 0 '' train mlp:16 mixup m.onnx
expect 0 '' train mlp:16 mixup again.onnx
expect 0 '' cmp m.onnx again.onnx
expect 0 '% of the time waiting for data' train mlp:8 flip w.onnx
expect 0 '"waited": [0-9.e-]+' "$skive" train mlp:8 -d $data -e 1 --json -o w.onnx
expect 0 'validation' "$skive" train mlp:8 -d $data -e 1 --augment mixup --label-smoothing 0.1 --class-weights 1,2,3 -o w.onnx
expect 2 "transform 'noise' is for series" train mlp:8 noise x.onnx
expect 2 "'gray' needs 3 channels" train mlp:8 gray x.onnx
expect 2 "transform 'mixup': alpha is 0" train mlp:8 mixup:0 x.onnx
absent x.onnx
finish
