#!/usr/bin/env bash
# skive share: k-means, hashing and tying, what they write, and what they refuse.
. "$(dirname "$0")/common.sh"
make_data

expect 0 'wrote start.onnx' "$skive" train mlp:64,64 --data $data --epochs 0 -o start.onnx
expect 0 'wrote model.onnx' "$skive" train mlp:64,64 --data $data --epochs 4 --batch 32 -q -o model.onnx
expect 0 'wrote thin.onnx' "$skive" prune model.onnx --sparsity 0.8 -o thin.onnx
bytes() { stat -c %s "$1"; }
holds() { # what TEST...: a condition on files
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" || { echo "FAIL: $what"; failures=$((failures + 1)); }
}

# ---- k-means ----
for init in linear density random exact; do
    expect 0 'wrote shared.onnx' "$skive" share model.onnx --bits 4 --init $init -o shared.onnx
    expect 0 'accuracy +(9[0-9]|100)' "$skive" eval shared.onnx --data $data
done
holds 'a byte a weight is a third of a float' [ $((3 * $(bytes shared.onnx))) -lt $((2 * $(bytes model.onnx))) ]
expect 0 'fc1 .*fc1.weight +4,096 +[0-9,]+ +16 +4 ' "$skive" share model.onnx -o shared.onnx
expect 0 'contains the dense weights' "$skive" share model.onnx -o plain.onnx --plain
expect 0 'NOT smaller' "$skive" share model.onnx -o plain.onnx --plain
expect 0 '"entropy": [0-9.]+' "$skive" share model.onnx --bits 3 --json -o shared.onnx
expect 0 '"shared_bytes": [0-9]+' "$skive" share model.onnx --bits 3 --json -o shared.onnx
expect 0 'Gather' "$skive" inspect shared.onnx
expect 0 'total .* 78\.[0-9] %$' "$skive" inspect thin.onnx
expect 0 'wrote shared.onnx' "$skive" share thin.onnx --bits 3 -o shared.onnx
expect 0 'total .* 78\.[0-9] %$' "$skive" inspect shared.onnx
expect 0 'all +8,192 +1,032$' "$skive" share thin.onnx --bits 1 --one-codebook --skip fc3.weight -o one.onnx
expect 0 'refused: it is not named by --only' "$skive" share model.onnx --only fc2.weight -o one.onnx
expect 0 'different values' "$skive" share plain.onnx --bits 8 -o one.onnx
expect 0 'differ by 0|"max_difference": 0' "$skive" simplify shared.onnx -o simple.onnx --json
holds 'simplifying does not blow the file up' [ $((3 * $(bytes simple.onnx))) -lt $((2 * $(bytes model.onnx))) ]
expect 0 'quantized 3 nodes' "$skive" quantize shared.onnx --data $data --samples 50 -o int8.onnx

# A budget, and a limit on the loss: bits of each layer.
expect 0 'bits chosen for .*, the least possible' "$skive" share model.onnx --bytes 0.1 -o budget.onnx
expect 0 '"exact": true' "$skive" share model.onnx --bytes 3k --data $data --json -q -o budget.onnx
expect 0 'limit on the loss: [0-9]+ of 24 parts' "$skive" share model.onnx --data $data --max-drop 5 -o within.onnx
expect 0 '"of": 24' "$skive" share model.onnx --data $data --max-drop 5 --bytes 0.1 --json -q -o within.onnx
expect 0 'indices and codebooks would take' "$skive" share model.onnx --bytes 0.1 --dry-run
expect 11 'smallest that can be reached' "$skive" share model.onnx --bytes 10 -o never.onnx
expect 2 'needs labelled samples' "$skive" share model.onnx --max-drop 1 -o never.onnx
expect 2 'bits' "$skive" share model.onnx --bits 3 --bytes 0.1 -o never.onnx
expect 2 'one-codebook|one codebook' "$skive" share model.onnx --one-codebook --bytes 0.1 -o never.onnx

# Fine-tuning: the zeros stay, the same seed gives the same bits, and a checkpoint is gone on from.
expect 0 'epoch [12] was best' "$skive" share thin.onnx --bits 2 --data $data --finetune 2 --batch 32 -o tuned.onnx
expect 0 'total .* 78\.[0-9] %$' "$skive" inspect tuned.onnx
expect 0 'wrote' "$skive" share thin.onnx --bits 2 --data $data --finetune 2 --batch 32 -q -o again.onnx
expect 0 '' cmp tuned.onnx again.onnx
expect 0 'wrote' "$skive" share thin.onnx --bits 2 --data $data --finetune 2 --batch 32 -q --checkpoint c -o first.onnx
expect 0 'resumed after epoch 2' "$skive" share thin.onnx --bits 2 --data $data --finetune 2 --batch 32 --checkpoint c -o second.onnx
expect 0 '' cmp first.onnx second.onnx

# ---- hashing ----
expect 0 'fc1 .*fc1.weight +4,096 +[0-9,]+ +512 ' "$skive" share start.onnx --hash 1/8 --data $data --finetune 6 --batch 32 -o hashed.onnx
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval hashed.onnx --data $data
expect 0 '"entropy": null' "$skive" share start.onnx --hash 8 --json -o hashed.onnx
for what in 0.125 12.5%; do
    expect 0 '"values": 512' "$skive" share start.onnx --hash $what --json -o hashed.onnx
done
expect 0 'NOT smaller' "$skive" share start.onnx --hash 8 --plain -o hashed.onnx

# ---- tying ----
expect 0 'wrote tied.onnx' "$skive" share model.onnx --tie fc1.weight=fc2.weight -o tied.onnx
holds 'one matrix less' [ "$(bytes tied.onnx)" -lt $(($(bytes model.onnx) - 16000)) ]
expect 0 'trained 1 epoch' "$skive" share model.onnx --tie fc1.weight=fc2.weight --data $data --finetune 1 -o tied.onnx
expect 0 'fc1.weight +4,096' "$skive" share model.onnx --tie fc1.weight=fc2.weight --bits 4 -o tied.onnx
expect 8 'only parameters of equal type and shape can be tied' "$skive" share model.onnx --tie fc1.weight=fc3.weight -o x.onnx
one_line
expect 13 "no parameter 'none'" "$skive" share model.onnx --tie fc1.weight=none -o x.onnx
expect 2 'A=B' "$skive" share model.onnx --tie fc1.weight -o x.onnx
expect 2 'A=B' "$skive" share model.onnx --tie =fc1.weight -o x.onnx

# ---- refused ----
for bits in 0 9 -3; do
    expect 2 "--bits is $bits; it must be" "$skive" share model.onnx --bits $bits -o x.onnx
    one_line
done
expect 2 "no initialisation of the centroids 'guess'" "$skive" share model.onnx --init guess -o x.onnx
one_line
expect 13 "no parameter 'fc9'" "$skive" share model.onnx --only fc9 -o x.onnx
expect 2 'not a ratio' "$skive" share model.onnx --hash 1:64 -o x.onnx
expect 2 'not a ratio' "$skive" share model.onnx --hash 0 -o x.onnx
expect 2 'hash is 0.5; it must be between 1 and' "$skive" share model.onnx --hash 1/0.5 -o x.onnx
expect 2 'not a ratio' "$skive" share model.onnx --hash 200% -o x.onnx
expect 2 'bits has no effect with --hash' "$skive" share model.onnx --hash 8 --bits 3 -o x.onnx
expect 2 '\-\-finetune needs --data' "$skive" share model.onnx --finetune 2 -o x.onnx
expect 2 '\-\-output is missing' "$skive" share model.onnx
expect 6 'already has a codebook' "$skive" share shared.onnx -o x.onnx
expect 4 'nofolder' timeout 60 "$skive" share model.onnx --data $data --finetune 1000000 -o nofolder/x.onnx
absent x.onnx
no_leftovers
finish
