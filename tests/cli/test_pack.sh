#!/usr/bin/env bash
# skive pack, unpack and inspect of what was packed; every command that takes ONNX takes it; damaged files are told.
. "$(dirname "$0")/common.sh"
make_data
holds() { # what TEST...: a condition on files
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" || { echo "FAIL: $what"; failures=$((failures + 1)); }
}
bytes() { stat -c %s "$1"; }

expect 0 'wrote model.onnx' "$skive" train mlp:64,64 --data $data --epochs 4 --batch 32 -q -o model.onnx
expect 0 'wrote thin.onnx' "$skive" prune model.onnx --sparsity 0.9 -o thin.onnx
expect 0 'wrote shared.onnx' "$skive" share thin.onnx --bits 4 -o shared.onnx

# ---- exact round trips ----
expect 0 'wrote model.skv: [0-9]+ bytes' "$skive" pack model.onnx -o model.skv
expect 0 'fc1.weight +float32\[64,[0-9]+\] .* sparse' "$skive" pack thin.onnx -o thin.skv --table
expect 0 'fc1.weight +float32\[64,[0-9]+\] .* codebook +context' "$skive" pack shared.onnx -o shared.skv --table
for m in model thin shared; do
    expect 0 "wrote $m.back.onnx" "$skive" unpack $m.skv -o $m.back.onnx
    expect 0 'outputs differ by 0 on average and 0 at most' "$skive" compare $m.onnx $m.back.onnx $m.skv --data $data --seconds 0.05
done
holds 'unpacking gives the very file' cmp model.onnx model.back.onnx
holds 'a pruned model is smaller packed' [ $((2 * $(bytes thin.skv))) -lt "$(bytes thin.onnx)" ]
holds 'a shared one smaller still' [ "$(bytes shared.skv)" -lt "$(bytes thin.skv)" ]
expect 0 'wrote again.skv' "$skive" pack shared.skv -o again.skv
holds 'packing what was packed changes nothing' cmp shared.skv again.skv

# ---- every command that takes ONNX takes it ----
expect 0 'in the file:' "$skive" inspect shared.skv
expect 0 'codebooks and scales' "$skive" inspect shared.skv
expect 0 '"packed": ' "$skive" inspect shared.skv --json
expect 0 'accuracy' "$skive" eval shared.skv --data $data
expect 0 'fc1' "$skive" explain shared.skv
expect 0 'latency' "$skive" bench shared.skv
expect 0 'wrote finer.skv' "$skive" prune thin.skv --sparsity 0.95 -o finer.skv
expect 0 'wrote int8.skv' "$skive" quantize model.skv --data $data --samples 20 -o int8.skv
expect 0 'accuracy' "$skive" eval int8.skv --data $data
expect 0 'wrote tuned.onnx' "$skive" train model.skv --data $data --epochs 1 -q -o tuned.onnx
expect 0 'wrote shared2.skv' "$skive" share thin.skv --bits 3 -o shared2.skv

# ---- hashed layers keep no indices ----
expect 0 'wrote hashed.onnx' "$skive" share model.onnx --hash 16 -o hashed.onnx
expect 0 'fc1.weight.buckets' "$skive" pack hashed.onnx -o hashed.skv --table
holds 'a hashed file is small' [ $((4 * $(bytes hashed.skv))) -lt "$(bytes hashed.onnx)" ]
expect 0 'HashedGemm' "$skive" explain hashed.skv
expect 0 'fc1.weight.buckets .*int8' "$skive" pack hashed.onnx --weights int8 -o hashed8.skv --table
expect 0 'fc1.weight.buckets .*dense' "$skive" pack hashed.onnx --biases int8 -o hashed8.skv --table
expect 0 'wrote hashed.back.onnx' "$skive" unpack hashed.skv -o hashed.back.onnx
expect 0 'same class for [0-9]+ of' "$skive" compare hashed.onnx hashed.back.onnx --data $data --seconds 0.05
expect 0 'Gather' "$skive" inspect hashed.back.onnx

# ---- forms that lose something ----
for form in f16 bf16 int8 int4:32 int2 ternary binary int8:tensor; do
    expect 0 'rounded: fc1.weight' "$skive" pack model.onnx -w $form -o small.skv
    expect 0 'accuracy' "$skive" eval small.skv --data $data
done
expect 0 'rounded: fc2.bias' "$skive" pack model.onnx -p fc2.bias=int8 -o small.skv
expect 0 'rounded: fc1.bias' "$skive" pack model.onnx --biases f16 --strip-names -o small.skv
expect 0 'input +input ' "$skive" inspect small.skv
for coder in raw huffman rans context; do
    expect 0 'wrote small.skv' "$skive" pack shared.onnx --coder $coder -o small.skv
    expect 0 'only the first 0, only the second 0' "$skive" compare shared.onnx small.skv --data $data --seconds 0.05
done

# ---- bad input ----
expect 2 "has negative numbers, and the grid 'uapot' has none: choose apot" "$skive" pack model.onnx -w uapot -o x.skv
expect 2 "'ulog2b3' has none: choose log2b3" "$skive" pack model.onnx -w ulog2b3 -o x.skv
expect 2 "'mxfp4' has no storage form: choose another" "$skive" pack model.onnx -w mxfp4 -o x.skv
expect 2 "no number grid 'int9'" "$skive" pack model.onnx -w int9 -o x.skv
expect 2 "'maybe' is not tensor, channel" "$skive" pack model.onnx -w int8:maybe -o x.skv
expect 2 "no coder 'zip'" "$skive" pack model.onnx --coder zip -o x.skv
expect 2 "no parameter 'fc9'" "$skive" pack model.onnx -p fc9=int8 -o x.skv
expect 2 'NAME=FORM' "$skive" pack model.onnx -p int8 -o x.skv
expect 2 'output is missing' "$skive" pack model.onnx
expect 4 'cannot' "$skive" pack model.onnx -o nowhere/x.skv
expect 4 'missing.skv' "$skive" unpack missing.skv -o x.onnx
expect 5 'not a packed model' "$skive" unpack model.onnx -o x.onnx
head -c 200 shared.skv >cut.skv
expect 5 'cut.skv: .*truncated' "$skive" eval cut.skv --data $data
{ head -c 300 shared.skv; printf 'XY'; tail -c +303 shared.skv; } >bent.skv
expect 5 'bent.skv: section [0-9]+ is damaged' "$skive" inspect bent.skv
{ printf '\223SKV\002'; tail -c +6 shared.skv; } >newer.skv
expect 6 'newer.skv: .*newer' "$skive" unpack newer.skv -o x.onnx
absent x.skv
absent x.onnx
no_leftovers
finish
