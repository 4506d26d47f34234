#!/bin/bash
# skive prune: heads and layers, built-in networks before training, rewinding, the control from scratch.
. "$(dirname "$0")/common.sh"
make_data
"$skive" train mlp:16,16,16 --data $data --batch 32 --epochs 1 -q -o m.onnx
expect 0 'removed 1 of 2 removable layers and blocks' "$skive" prune m.onnx --granularity layer --params 0.9 -o a.onnx
expect 0 'gives another shape than it reads' "$skive" prune m.onnx --granularity layer --params 0.9 --dry-run
expect 11 'layers that must stay' "$skive" prune m.onnx --granularity layer --params 0.01 -q -o x.onnx
expect 2 '--sparsity is of single weights; of what is removed' "$skive" prune m.onnx --granularity layer -s 0.5 -q -o x.onnx
expect 2 'granularity' "$skive" prune m.onnx --granularity layers --params 0.5 -q -o x.onnx
# Before training.
expect 0 'trained 2 epochs' "$skive" prune mlp:16 --criterion snip -s 0.8 --data $data --batch 32 --finetune 2 -o b.onnx
expect 0 '' "$skive" prune mlp:16 --criterion synflow -s 0.8 --prune-schedule iterative --steps 10 --last-step 1 --data $data --batch 32 --finetune 1 -o b.onnx
expect 2 'a built-in network is made for data: --data' "$skive" prune mlp:16 -s 0.8 -q -o x.onnx
# Back to earlier weights, and the same from scratch.
expect 0 'the same from scratch, 2 epochs: validation accuracy [0-9.]+ %; pruned: ' "$skive" prune m.onnx -s 0.8 --data $data --batch 32 --finetune 1 --scratch-control 2 --rewind m.onnx -o c.onnx
expect 0 '"scratch"' "$skive" prune m.onnx --structured --params 0.7 --data $data --batch 32 --finetune 1 --scratch-control 1 --json -o d.onnx
expect 2 '--rewind needs --finetune' "$skive" prune m.onnx -s 0.5 --rewind m.onnx -q -o x.onnx
expect 2 'scratch' "$skive" prune m.onnx -s 0.5 --scratch-control 1 -q -o x.onnx
expect 2 '^skive prune: the model to rewind to .*earlier time' "$skive" prune m.onnx -s 0.5 --rewind b.onnx --data $data --finetune 1 -q -o x.onnx
absent x.onnx
finish
