#!/usr/bin/env bash
# quantize --qat: what it writes and tells, that it can be resumed, and what it refuses.
. "$(dirname "$0")/common.sh"
make_data

expect 0 'wrote m.onnx' "$skive" train mlp:16,8 --data $data --epochs 2 --batch 32 -o m.onnx

expect 0 'wrote q.onnx' "$skive" quantize m.onnx --data $data --qat --epochs 2 --batch 32 --weights int4 --activations uint4 -o q.onnx
expect 0 'test, [0-9]+ samples: float [0-9.]+ %, quantized without training [0-9.]+ %, trained [0-9.]+ %' \
    "$skive" quantize m.onnx --data $data --qat --epochs 2 --batch 32 --weights int4 --activations uint4 -o q.onnx
expect 0 'no epoch was better than the model before the training, by validation accuracy: that is kept' \
    "$skive" quantize m.onnx --data $data --qat --epochs 1 --batch 32 --weights int4 --activations uint4 --lr 1000 -o start.onnx
expect 0 'after the training the model is worse on the test set than before it: [0-9.]+ % instead of' \
    "$skive" quantize m.onnx --data $data --qat --epochs 1 --batch 32 --weights int4 --activations uint4 --lr 1000 \
    --no-validation -o worse.onnx
expect 0 "first and last product, 'fc1' and 'fc3', have int8" \
    "$skive" quantize m.onnx --data $data --qat --epochs 1 --batch 32 --weights int2 -o q.onnx
for key in '"untrained": [0-9]' '"rule": "lsq"' '"packed_bytes": [0-9]' '"step": [0-9]' '"grid": "int2"'; do
    expect 0 "$key" "$skive" quantize m.onnx --data $data --qat --epochs 1 --batch 32 --weights int2 --json -o q.onnx
done
expect 0 'accuracy' "$skive" eval q.onnx --data $data

# A continued run writes the bytes of a straight one.
run=("$skive" quantize m.onnx --data "$data" --qat --batch 32 --weights int3 --activations uint3 --schedule constant -q)
expect 0 '' "${run[@]}" --epochs 2 -o straight.onnx
expect 0 '' "${run[@]}" --epochs 1 --checkpoint c.ckpt -o part.onnx
expect 0 '' "${run[@]}" --epochs 2 --checkpoint c.ckpt -o whole.onnx
expect 0 '' cmp straight.onnx whole.onnx

expect 0 'nothing was written' "$skive" quantize m.onnx --data $data --qat --weights fixed --dry-run
expect 0 'nothing was written' "$skive" quantize m.onnx --data $data --qat --weights ternary --weight-rule ttq --dry-run
expect 0 'wrote t.onnx' "$skive" quantize m.onnx --data $data --qat --epochs 1 --batch 32 --weights ternary --weight-rule ttq -o t.onnx
expect 0 'wrote i.onnx' "$skive" quantize m.onnx --data $data --qat --epochs 1 --batch 32 --weights log2 --weight-rule inq --activations float -o i.onnx
expect 0 'wrote d.onnx' "$skive" quantize m.onnx --data $data --qat --epochs 1 --batch 32 --distill-alpha 0.5 -o d.onnx

rm -f q.onnx
expect 2 'epochs needs --qat' "$skive" quantize m.onnx --data $data --epochs 2 -o q.onnx
expect 0 'wrote b.onnx' "$skive" quantize m.onnx --data $data --batch 2 -o b.onnx
expect 2 'the same as --quantize-batch' "$skive" quantize m.onnx --data $data --batch 2 --quantize-batch 2 -o q.onnx
expect 2 'max-drop cannot be combined with --qat' "$skive" quantize m.onnx --data $data --qat --max-drop 1 -o q.onnx
expect 2 'leave the group out' "$skive" quantize m.onnx --data $data --qat --weights int4:32 -o q.onnx
expect 2 "'pact' is for activations only" "$skive" quantize m.onnx --data $data --qat --weight-rule pact -o q.onnx
expect 2 'data is missing' "$skive" quantize m.onnx --qat -o q.onnx
expect 2 'activations stay float' "$skive" quantize m.onnx --data $data --qat --weights log2 --weight-rule inq -o q.onnx
for option in --smooth --equalize '--rounding gptq' '--bias-correction empirical' --absorb-bias '--layer-samples 9' '--input-low 0'; do
    expect 2 "${option%% *} cannot be combined with --qat" "$skive" quantize m.onnx --data $data --qat $option -o q.onnx
done
expect 2 'data none has none' "$skive" quantize m.onnx --data none --qat -o q.onnx
absent q.onnx
others_read_them
finish
