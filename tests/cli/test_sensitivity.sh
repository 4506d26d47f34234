#!/usr/bin/env bash
# skive sensitivity: one layer at a time on several grids, measured and estimated; what is refused.
. "$(dirname "$0")/common.sh"
make_data

expect 0 'wrote mlp.onnx' "$skive" train mlp:12,10 --data $data --epochs 4 --batch 32 -q -o mlp.onnx
expect 0 'fc1 +int8 +[0-9]+ +[0-9.]+ +[0-9.]+' "$skive" sensitivity mlp.onnx --data $data --samples 50
expect 0 "int4: '.*' does most harm by loss" "$skive" sensitivity mlp.onnx --data $data --weights-only --grids int4,nf4
expect 0 'its input uint4; 40 samples' "$skive" sensitivity mlp.onnx --data $data --activations uint4 --split test --limit 40
expect 0 'KL' "$skive" sensitivity mlp.onnx --data $data --by kl --grids 'uint4:4\,asymmetric'
expect 0 'trace +\+ loss, estimated' "$skive" sensitivity mlp.onnx --data $data --by hessian --vectors 2 --batches 1
expect 0 '"drop_low": ' "$skive" sensitivity mlp.onnx --data $data --grids int4 --json
expect 0 'left out: fc1: it is excluded by --skip' "$skive" sensitivity mlp.onnx --data $data --skip fc1 --grids int4
# The weights of one node are told apart.
expect 0 'wrote lstm.onnx' "$skive" train lstm --data $data --epochs 0 -o lstm.onnx
expect 0 '^[^ ]+ \([^)]+\) +int8 ' "$skive" sensitivity lstm.onnx --dry-run --grids int8
checks=$((checks + 1))
[ -z "$(grep ' int8 ' out.txt | sed 's/ *int8 .*//' | sort | uniq -d)" ] || { echo 'FAIL: two rows of one name'; cat out.txt; failures=$((failures + 1)); }

expect 2 '\-\-data is missing' "$skive" sensitivity mlp.onnx
one_line
expect 2 "no number grid 'int9'" "$skive" sensitivity mlp.onnx --data $data --grids int8,int9
one_line
expect 2 'cannot be combined' "$skive" sensitivity mlp.onnx --data $data --weights-only --activations uint8
expect 2 'have no effect' "$skive" sensitivity mlp.onnx --data $data --by hessian --activations uint8
expect 6 "cannot be on the grid 'f16'" "$skive" sensitivity mlp.onnx --data $data --activations f16
expect 13 "no node 'fc9'" "$skive" sensitivity mlp.onnx --data $data --skip fc9
expect 0 'wrote int8.onnx' "$skive" quantize mlp.onnx --data $data --samples 50 -o int8.onnx
expect 2 'already quantized' "$skive" sensitivity int8.onnx --data $data

# ---- compare --layers ----
expect 0 'values on 50 samples' "$skive" compare mlp.onnx int8.onnx --data $data --layers --limit 50
expect 0 'it is inside an integer node' "$skive" compare mlp.onnx int8.onnx --data $data --layers
expect 0 '"own_sqnr": ' "$skive" compare mlp.onnx int8.onnx --data $data --layers --json
expect 2 '\-\-no-labels has no effect' "$skive" compare mlp.onnx int8.onnx --data $data --layers --no-labels
expect 0 'note: --mean is not applied to mlp.onnx' "$skive" compare mlp.onnx int8.onnx --data $data --layers --mean 0.3
expect 0 '' "$skive" train mlp:40,30 --data $data --epochs 6 --batch 32 -q -o wide.onnx
expect 0 'wrote equal.onnx' "$skive" quantize wide.onnx --data $data --equalize -o equal.onnx
expect 0 'note: .* may have been rescaled' "$skive" compare wide.onnx equal.onnx --data $data --layers
expect 2 'two models, and 3 are given' "$skive" compare mlp.onnx int8.onnx mlp.onnx --data $data --layers
expect 2 '\-\-max-drop has no effect' "$skive" compare mlp.onnx int8.onnx --data $data --layers --max-drop 1
no_leftovers
finish
