#!/bin/bash
# Methods given a quantized model: what has a meaning is done and stays quantized, the rest is refused by name.
. "$(dirname "$0")/common.sh"
make_data
expect 0 '' "$skive" train mlp:16 --data $data --batch 32 --epochs 1 -q -o f.onnx
expect 0 '' "$skive" quantize f.onnx --data $data -q -o q.onnx
expect 0 '' "$skive" quantize f.onnx --weights int8 -q -o w.onnx
expect 0 '' "$skive" quantize f.onnx --dynamic -q -o d.onnx
expect 0 '' "$skive" quantize f.onnx --to f16 -q -o h.onnx
for model in q.onnx w.onnx; do
    expect 6 "the weight 'fc1.weight_quantized' is stored as int8; it cannot be pruned in this form" "$skive" prune $model -s 0.6 -o x.onnx
    # A quantized student learns from a teacher, as integers.
    expect 0 'parameters stored as integers' "$skive" distill --teacher f.onnx --student $model --data $data --batch 32 --epochs 1 -o s.onnx
    expect 0 'DequantizeLinear' "$skive" inspect s.onnx
    expect 0 '' "$skive" distill --teacher $model --student mlp:4 --data $data --batch 32 --epochs 1 -q -o t.onnx
    expect 6 "the weight 'fc1.weight_quantized' is stored as int8; it cannot be shared in this form" "$skive" share $model --bits 3 -o x.onnx
done
# Channels go, and nothing says that their weights were left.
expect 0 'channels' "$skive" prune q.onnx --granularity channel:multiple=1 --params 0.6 -o s.onnx
checks=$((checks + 1))
if grep -q 'not pruned' out.txt err.txt; then
    echo "FAIL: channels of a quantized model, and a note that they are not pruned"
    failures=$((failures + 1))
fi
expect 6 "MatMulInteger '.*' multiplies integers; it cannot be pruned in this form" "$skive" prune d.onnx -s 0.5 -o x.onnx
expect 6 "MatMulInteger '.*' multiplies integers; it cannot be shared in this form" "$skive" share d.onnx --bits 3 -o x.onnx
expect 6 "MatMulInteger '.*' multiplies integers; it cannot be trained in this form" "$skive" train d.onnx --data $data --epochs 1 -o x.onnx
expect 6 "it cannot be trained in this form. Take the float model" "$skive" distill --teacher f.onnx --student d.onnx --data $data --epochs 1 -o x.onnx
expect 6 "is stored as float16; it cannot be pruned in this form" "$skive" prune h.onnx -s 0.5 -o x.onnx
expect 6 "is stored as float16; it cannot be shared in this form" "$skive" share h.onnx --bits 3 -o x.onnx
absent x.onnx
no_leftovers
finish
