#!/bin/bash
# The learning-rate finder, and curricula.
. "$(dirname "$0")/common.sh"
make_data
COLUMNS=80 expect 0 '^suggested: --lr [0-9.e-]+ ' "$skive" train mlp:16 --data $data --batch 16 --find-lr
cp out.txt search.txt
expect 0 '^nothing was trained' cat search.txt
checks=$((checks + 1))
awk 'length($0) > 80 { exit 1 }' search.txt || { echo "FAIL: a line over 80 columns"; failures=$((failures + 1)); }
expect 0 '"suggested"' "$skive" train mlp:16 --data $data --batch 16 --find-lr --json -q
expect 0 'wrote rates.svg' "$skive" train mlp:16 --data $data --batch 16 --find-lr --find-lr-steps 60 -o rates.svg
expect 0 '<polyline' cat rates.svg
expect 2 'x.onnx: --find-lr writes no model' "$skive" train mlp:16 --data $data --find-lr -o x.onnx
one_line
expect 2 'writes no checkpoint and no log' "$skive" train mlp:16 --data $data --find-lr --log x.jsonl
expect 2 '.-find-lr-steps is 5' "$skive" train mlp:16 --data $data --find-lr --find-lr-steps 5
expect 0 'wrote' "$skive" train mlp:16 --data $data --epochs 1 --batch 16 -q -o m.onnx
cp m.onnx before.onnx
expect 0 'suggested' "$skive" distill --teacher m.onnx --student mlp:8 --data $data --batch 16 --find-lr
expect 0 'suggested' "$skive" train m.onnx --data $data --batch 16 --lr 0.1 --find-lr
expect 0 '' cmp m.onnx before.onnx
expect 2 'find-lr' "$skive" prune m.onnx -s 0.5 --finetune 1 --data $data --find-lr -o x.onnx
absent x.onnx
absent x.jsonl
# Curricula: less steps in the first epochs, in every command that trains.
expect 0 "note: curriculum 'balanced': 275 of 550 samples in epoch 1, all from epoch 3 on; 110 steps instead of 136" \
    "$skive" train mlp:16 --data $data --epochs 4 --batch 16 --curriculum balanced:start=0.5 --log c.jsonl -o c.onnx
expect 0 '"step":17,"epoch":1,' grep '"epoch"' c.jsonl
expect 0 "note: curriculum 'loss'" "$skive" train mlp:16 --data $data --epochs 6 --batch 16 --curriculum loss:steps=2 -o c.onnx
expect 0 "note: curriculum 'margin'" "$skive" train mlp:16 --data $data --epochs 3 --batch 16 --curriculum margin:teacher=m.onnx -o c.onnx
expect 0 "note: curriculum 'margin'" "$skive" distill --teacher m.onnx --student mlp:8 --data $data --epochs 3 --batch 16 --curriculum margin -o c.onnx
expect 0 "note: curriculum 'random'" "$skive" prune m.onnx -s 0.5 --finetune 3 --data $data --curriculum random -o p.onnx
expect 2 'needs a teacher: give the file of a trained model' "$skive" train mlp:16 --data $data --epochs 3 --curriculum margin -q -o x.onnx
one_line
expect 4 'none.onnx' "$skive" train mlp:16 --data $data --epochs 3 --curriculum margin:teacher=none.onnx -q -o x.onnx
expect 2 'cannot be combined with surgery, which counts the steps' "$skive" prune m.onnx -s 0.5 --surgery --finetune 3 --data $data --curriculum random -q -o x.onnx
expect 2 "curriculum" "$skive" train mlp:16 --data $data --epochs 3 --curriculum easy -q -o x.onnx
absent x.onnx
no_leftovers
finish
