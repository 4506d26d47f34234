#!/bin/bash
# Options of training: the best epoch, class weights, other classes, a checkpoint that is gone on from.
. "$(dirname "$0")/common.sh"
make_data
train() { "$skive" train mlp:8 --data $data --batch 32 --schedule constant -q "$@"; }
expect 0 'epoch [0-9]+ was best: validation loss' "$skive" train mlp:8 --data $data --epochs 2 --batch 32 --best loss -o m.onnx
expect 0 'epoch [0-9]+ was best: validation F1' "$skive" train mlp:8 --data $data --epochs 2 --batch 32 --best f1 -o m.onnx
expect 2 "measure of the best epoch 'losss'" train --epochs 1 --best losss -o x.onnx
one_line
expect 2 '.-best needs validation samples' train --epochs 1 --best loss --no-validation -o x.onnx
expect 0 'class weights \(balanced\)' "$skive" train mlp:8 --data $data --epochs 1 --class-weights balanced -o m.onnx
expect 2 "class weights '1,2': give" train --epochs 1 --class-weights 1,2 -o x.onnx
one_line
absent x.onnx
# In every command that trains.
expect 0 'the last epoch was kept' "$skive" distill --teacher m.onnx --student mlp:4 --data $data --epochs 1 --no-validation -o s.onnx
expect 0 'the last epoch was kept' "$skive" prune m.onnx -s 0.5 --finetune 1 --data $data --no-validation -o p.onnx
expect 0 'the last epoch was kept' "$skive" share m.onnx --bits 3 --finetune 1 --data $data --no-validation -o s.onnx
# Another number of classes.
expect 9 '3 classes, but the model gives 2 scores; use skive train --classes 3' "$skive" train m.onnx --classes 2 --data $data -q -o x.onnx
one_line
expect 0 'a new last layer for 5 classes instead of 3' "$skive" train m.onnx --classes 5 --data $data --epochs 1 -o five.onnx
expect 0 'use skive train --classes 3 for a new last layer' "$skive" train five.onnx --data $data --epochs 1 -o x.onnx
rm x.onnx
expect 0 'a new last layer for 3 classes' "$skive" train five.onnx --classes 3 --data $data --epochs 2 -o three.onnx
expect 0 'accuracy' "$skive" eval three.onnx --data $data
# A finished run goes on; what differs is named.
expect 0 '' train --epochs 2 --checkpoint c -o a.onnx
expect 0 'resumed after epoch 2' "$skive" train mlp:8 --data $data --batch 32 --schedule constant --epochs 3 --checkpoint c -o b.onnx
expect 0 'that run was planned with 3 epochs' "$skive" train mlp:8 --data $data --batch 32 --schedule constant --epochs 4 --checkpoint c -o b.onnx
expect 2 'another --lr \(train\): 0.02, not 0.1' train --epochs 4 --lr 0.1 --checkpoint c -o x.onnx
one_line
expect 2 'another number of epochs: 4, not 2' train --epochs 2 --checkpoint c -o x.onnx
absent x.onnx
no_leftovers
finish
