#!/bin/bash
# What options make a run do besides its steps, in every command that trains.
. "$(dirname "$0")/common.sh"
make_data
train() { "$skive" train mlp:8 --data $data --batch 32 "$@"; }
all="--optimizer lamb:beta2=0.99 --schedule plateau:patience=0,factor=0.5 --clip-value 1 --clip-norm 5 --accumulate 2
     --ema 0.9 --patience 5 --unfreeze 1:*bias --recompute --deterministic --batch 32"
expect 0 '' "$skive" train mlp:8 --data $data --epochs 2 $all -o m.onnx
expect 0 '' "$skive" distill --teacher m.onnx --student mlp:4 --data $data --epochs 2 $all -o s.onnx
expect 0 '' "$skive" prune m.onnx -s 0.5 --finetune 2 --data $data $all -o p.onnx
expect 0 '' "$skive" share m.onnx --bits 3 --finetune 2 --data $data $all -o h.onnx
# Each says what it does, and what is contradictory is refused in one line.
expect 0 'more parameters are trained after epoch 1' train --epochs 2 --unfreeze '1:*bias' -o a.onnx
expect 0 'stopped after epoch 3 of 9: accuracy has not become better for 2 epochs' train --epochs 9 --lr 0 --patience 2 -o a.onnx
expect 0 'the last [0-9]+ batch(es)? of the run made no update' train --epochs 1 --accumulate 50 -o a.onnx
expect 2 'patience needs validation samples' train --epochs 2 --patience 1 --no-validation -q -o x.onnx
one_line
expect 2 'swa begins after 3 epochs, but the run has 3' train --epochs 3 --swa 3 -q -o x.onnx
one_line
expect 2 'ema and swa both say' train --epochs 3 --swa 1 --ema 0.9 -q -o x.onnx
expect 2 'ema is 1; it must be' train --epochs 3 --ema 1 -q -o x.onnx
expect 2 'unfreeze is .nonsense.; it must be EPOCH:PATTERN' train --epochs 3 --unfreeze nonsense -q -o x.onnx
one_line
expect 13 "the model has no parameter 'nothing'" train --epochs 3 --unfreeze 1:nothing -q -o x.onnx
expect 2 "accumulate is 0; it must be" train --epochs 3 --accumulate 0 -q -o x.onnx
expect 2 "'at' of the schedule 'multi-step'" train --epochs 3 --schedule multi-step:at=2,1 -q -o x.onnx
absent x.onnx
# The same bits with any number of threads.
expect 0 'steps are computed by one thread instead of 2' train --epochs 2 --deterministic --threads 2 -o two.onnx
expect 0 '' train --epochs 2 --deterministic --threads 1 -o one.onnx
checks=$((checks + 1))
cmp one.onnx two.onnx || { echo "FAIL: --deterministic with other threads gives another file"; failures=$((failures + 1)); }
# A limit that is too small names one that suffices, and with that activations are computed again.
net() { "$skive" train resnet20:0.5 --data $data --batch 256 --epochs 1 --limit 300 "$@"; }
expect 0 'activations of [0-9]+ of [0-9]+ segments are computed again for the gradients: a step needs' net --recompute -o a.onnx
net --memory 20M -q -o x.onnx 2>err.txt
least=$(sed -n 's/.*(option --memory): \([0-9]*\) MiB suffice.*/\1/p' err.txt)
checks=$((checks + 1))
[ -n "$least" ] || { echo "FAIL: no limit named:"; cat err.txt; failures=$((failures + 1)); }
absent x.onnx
expect 0 'since the memory limit is too small otherwise' net --memory ${least}M -o b.onnx
checks=$((checks + 1))
cmp a.onnx b.onnx || { echo "FAIL: recomputation gives another file"; failures=$((failures + 1)); }
no_leftovers
finish
