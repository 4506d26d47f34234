#!/bin/bash
# A command that is killed and called again gives the file of one that was not; checkpoints that do not fit are refused.
. "$(dirname "$0")/common.sh"
make_data
train() { "$skive" train mlp:64,32 --data $data --batch 8 --epochs 12 --augment crop:1 -q "$@"; }
expect 0 'wrote' train -o straight.onnx
# Killed without warning; a checkpoint on every fifth step. The moments are fixed, what they hit is not.
kills=0
for delay in 0.05 0.1 0.15 0.08 0.2 0.12; do
    "$skive" train mlp:64,32 --data $data --batch 8 --epochs 12 --augment crop:1 -q --checkpoint run.ckpt \
        --checkpoint-every 5 -o killed.onnx >/dev/null 2>&1 &
    pid=$!
    sleep $delay
    kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null
done
echo "killed $kills times"
expect 0 'wrote' train --checkpoint run.ckpt --checkpoint-every 5 -o killed.onnx
expect 0 '' cmp straight.onnx killed.onnx
no_leftovers
# A finished run: everything is done.
expect 0 'all 12 epochs are done' "$skive" train mlp:64,32 --data $data --batch 8 --epochs 12 --augment crop:1 --resume run.ckpt -o again.onnx
expect 0 '' cmp straight.onnx again.onnx
# What cannot be resumed.
expect 4 'none.ckpt: there is no such checkpoint' train --resume none.ckpt -o x.onnx
one_line
expect 2 'another --batch \(train\): 8, not 16' "$skive" train mlp:64,32 --data $data --batch 16 --epochs 12 --augment crop:1 -q --resume run.ckpt -o x.onnx
one_line
expect 2 'give one of the two' train --resume run.ckpt --checkpoint other.ckpt -o x.onnx
expect 2 'it must be a time such as 90s, 5m or 2h, or a number of steps' train --checkpoint run.ckpt --checkpoint-every soon -o x.onnx
one_line
expect 2 'checkpoint-every needs --checkpoint or --resume' train --checkpoint-every 5m -o x.onnx
head -c 1000 run.ckpt >cut.ckpt
expect 5 'cut.ckpt: the checkpoint is damaged' train --resume cut.ckpt -o x.onnx
one_line
expect 2 'would overwrite|name the same file' train --resume x.onnx -o x.onnx
expect 2 'needs the name of a file' train --resume - -o x.onnx
absent x.onnx
absent other.ckpt
# The steps of gradual pruning: the first must exist.
expect 4 'p.ckpt.1: there is no such checkpoint' "$skive" prune straight.onnx -s 0.5 --prune-schedule cubic:steps=2 --finetune 2 --data $data -q --resume p.ckpt -o x.onnx
expect 0 'wrote' "$skive" prune straight.onnx -s 0.5 --prune-schedule cubic:steps=2 --finetune 2 --data $data -q --checkpoint p.ckpt --checkpoint-every 3 -o p.onnx
expect 0 'resumed after epoch 1 from p.ckpt.2' "$skive" prune straight.onnx -s 0.5 --prune-schedule cubic:steps=2 --finetune 2 --data $data --resume p.ckpt -o q.onnx
expect 0 '' cmp p.onnx q.onnx
no_leftovers
finish
