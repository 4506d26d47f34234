#!/bin/bash
# skive train --regularize: what it tells, what is refused, and that what became zero can be removed.
. "$(dirname "$0")/common.sh"
make_data
train() { "$skive" train mlp:16 --data $data --batch 32 "$@"; }
expect 0 'of the weights, [0-9]+ of 16 removable channels are exactly zero; the best epoch may be an earlier one' train --epochs 3 --regularize group-lasso:0.3 -o a.onnx
expect 0 '8 of 16 removable channels are exactly zero$' train --epochs 4 --regularize growing:0.5 --no-validation -o b.onnx
expect 0 'removed [0-9]+ of 16 removable channels' "$skive" prune b.onnx --structured --criterion group-norm --params 0.6 -o c.onnx
expect 0 'removed 8 of 16 removable channels' "$skive" prune b.onnx --zeros -o c.onnx
expect 0 '' train --epochs 2 --regularize 'l1:0.001;l2:0.001;rigl:0.5,every=3' -o d.onnx
expect 0 'exactly zero' "$skive" prune a.onnx -s 0.5 --finetune 2 --data $data --regularize l1:0.01 -o e.onnx
expect 2 "no regularizer 'lasso'; there are" train --epochs 1 --regularize lasso:1 -q -o x.onnx
one_line
expect 2 'lambda' train --epochs 1 --regularize l1 -q -o x.onnx
expect 2 "regularize names 'l1' twice" train --epochs 1 --regularize 'l1:1;l1:2' -q -o x.onnx
expect 6 'has no normalisation whose scale is trained' train --epochs 1 --regularize bn-scale:1 -q -o x.onnx
one_line
expect 2 'l0 cannot be combined with averages' train --epochs 1 --regularize l0:1e-6 --ema 0.9 -q -o x.onnx
"$skive" prune a.onnx -s 0.5 -q -o pruned.onnx >/dev/null
expect 2 'rigl decides itself which weights are zero; --keep-zeros none' "$skive" train pruned.onnx --data $data --epochs 1 --regularize rigl:0.5 -q -o x.onnx
absent x.onnx
expect 2 "';' names no regularizer" train --epochs 1 --regularize ';' -q -o x.onnx
expect 2 "'' names no regularizer" train --epochs 1 --regularize '' -q -o x.onnx
expect 2 "';' names no rule" train --epochs 1 --rule ';' -q -o x.onnx
absent x.onnx
finish
