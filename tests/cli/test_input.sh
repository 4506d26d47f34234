#!/usr/bin/env bash
# How samples become a model's input: what the commands say, keep and refuse.
. "$(dirname "$0")/common.sh"
make_data

# What is given is said, kept in what is written, and said again by the next command.
expect 0 'mean 0\.3 deviation 0\.5 \(as given\)' \
    "$skive" train mlp:8 --data $data --epochs 1 --batch 32 --mean 0.3 --std 0.5 -o m.onnx
expect 0 "mean 0\.3 deviation 0\.5 \(from the model's metadata\)" "$skive" eval m.onnx --data $data
expect 0 '"input": "samples .* mean 0\.3 deviation 0\.5 ' "$skive" eval m.onnx --data $data --json
expect 0 'mean 0\.1 deviation 1 \(as given\)' "$skive" eval m.onnx --data $data --mean 0.1
expect 0 'mean 0\.1 deviation 0\.2 \(as given\)' \
    "$skive" quantize m.onnx --data $data --mean 0.1 --std 0.2 -o q.onnx
expect 0 "mean 0\.1 deviation 0\.2 \(from the model's metadata\)" "$skive" eval q.onnx --data $data
for c in prune share; do
    expect 0 'mean 0\.4 deviation 1 \(as given\)' \
        "$skive" $c m.onnx --data $data --finetune 1 --batch 32 --mean 0.4 -o p.onnx
    expect 0 "mean 0\.4 deviation 1 \(from the model's metadata\)" "$skive" eval p.onnx --data $data
done
expect 0 'input of the teacher|teacher: samples .* mean 0\.7 deviation 1 \(as given\)' \
    "$skive" distill --teacher m.onnx --teacher-mean 0.7 --student mlp:4 --data $data --epochs 1 --batch 32 -o d.onnx
expect 0 "mean 0\.3 deviation 0\.5 \(from the model's metadata\)" \
    "$skive" compare m.onnx m.onnx --mean 9 --data $data --seconds 0.01
expect 0 'measured on the training samples' "$skive" train mlp:8 --data $data --epochs 0 -o z.onnx

# Pictures of a model that says nothing.
expect 0 'no normalisation' "$skive" eval m.onnx --data $data --mean none
expect 0 'not scaled' "$skive" eval m.onnx --data $data --scale none

expect 0 '^Intervals: .{1,69}$' "$skive" eval m.onnx --data $data

# Equal shapes that do not match are told with their layouts.
mkdir -p colour/a colour/b
for k in a b; do
    for i in 1 2 3 4; do
        perl -e 'print "BM", pack("VVV", 54 + 36 * 8, 0, 54), pack("VVVvvVVVVVV", 40, 12, 8, 1, 24, 0, 0, 0, 0, 0, 0), chr(9 * shift) x (36 * 8)' $i >colour/$k/$i.bmp
    done
done
expect 0 'wrote' "$skive" train mlp:4 --data folder:colour --epochs 0 -o colour.onnx
expect 9 'samples are \[3, 8, 12\] \(channels first\), .* layout nhwc \(--layout\), takes \[3, 8, 12\] \(channels last\)' \
    "$skive" eval colour.onnx --data folder:colour --layout nhwc --resize 8x12
expect 9 'if its channels come first, the layout is nchw' "$skive" eval colour.onnx --data folder:colour --layout nhwc

# Mistakes name the option and the choices.
expect 2 "--mean 'x': give a number" "$skive" eval m.onnx --data $data --mean x
one_line
expect 9 'has 3 channels, but samples of' "$skive" eval m.onnx --data $data --mean imagenet
one_line
expect 2 '--std: standard deviations must be above 0' "$skive" eval m.onnx --data $data --std 0
expect 2 "--layout 'hwc': give nchw" "$skive" eval m.onnx --data $data --layout hwc
expect 2 "--scale '1/0': give a factor" "$skive" eval m.onnx --data $data --scale 1/0
expect 2 '--mean needs --data' "$skive" prune m.onnx --mean 0.5 -o p.onnx
expect 2 '--teacher-mean needs --teacher' "$skive" prune m.onnx --data $data --teacher-mean 0.5 -o p.onnx

finish
