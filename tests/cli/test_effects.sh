#!/bin/bash
# Options that would change nothing are refused, in every command that trains; nothing is written.
. "$(dirname "$0")/common.sh"
make_data
expect 0 '' "$skive" train mlp:8 --data $data --batch 32 --epochs 1 -q -o m.onnx
refused() {
    local pattern=$1
    shift
    expect 2 "$pattern" "$skive" "$@" -o x.onnx
    one_line
}
train="train mlp:8 --data $data --epochs 2"
refused '.-momentum has no effect with --optimizer adam; it is for sgd' $train --optimizer adam --momentum 0.8
refused '.-step-every has no effect with --schedule cosine; it is for step' $train --step-every 2
refused '.-final-rate has no effect with --schedule step; it is for cosine' $train --schedule step --final-rate 0
refused '.-label-smoothing has no effect with --loss mse' $train --loss mse --label-smoothing 0.1
refused '.-warmup has no effect with --schedule one-cycle' $train --schedule one-cycle --warmup 1
refused '.-log-every needs --log or --tensorboard' $train --log-every 5
refused '.-decay-all needs --weight-decay' $train --weight-decay 0 --decay-all
refused '.-find-lr-steps needs --find-lr' $train --find-lr-steps 50
expect 0 'wrote w.onnx' "$skive" $train --momentum 0 --no-nesterov -o w.onnx
expect 0 'warm-up of 5 epochs is longer than the run of 2' "$skive" $train --warmup 5 -o w.onnx
expect 0 'without effect on --find-lr: --epochs, --lr' "$skive" $train --lr 0.1 --find-lr --find-lr-steps 20
expect 2 '.-vectors has no effect with --by loss; it is for hessian' "$skive" sensitivity m.onnx --data $data --vectors 3
one_line
# Without fine-tuning.
for option in '--lr 0.1' '--optimizer adam' '--augment flip' '--momentum 0.5' '--checkpoint c' '--distill-alpha 0.5' --surgery; do
    refused 'needs --finetune' prune m.onnx -s 0.5 $option
done
refused '.-batch needs --finetune' share m.onnx --bits 3 --batch 8
refused '.-steps has no effect with --prune-schedule one-shot; it is for' prune m.onnx -s 0.5 --steps 3
refused '.-per-layer has no effect with --threshold' prune m.onnx --threshold 0.1 --per-layer
refused '.-surgery-until needs --surgery' prune m.onnx -s 0.5 --finetune 1 --data $data --surgery-until 0.5
refused '.-teacher needs --distill-alpha' prune m.onnx -s 0.5 --finetune 1 --data $data --teacher m.onnx
refused '.-init has no effect with --hash' share m.onnx --hash 4 --init random
refused '.-temperature needs --alpha' distill --teacher m.onnx --student mlp:4 --data $data --alpha 0 -T 2
# Without data.
for option in '--limit 5' '--resize 4' --skip-bad '--targets class' --no-validation; do
    refused 'needs --data' prune m.onnx -s 0.5 $option
done
expect 0 'the data set is not used' "$skive" prune m.onnx -s 0.5 --data $data -o p.onnx
expect 0 'the data set is not used' "$skive" share m.onnx --bits 3 --data $data -o s.onnx
absent x.onnx
no_leftovers
finish
