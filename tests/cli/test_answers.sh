#!/bin/bash
# Data without labels: a model's outputs for all samples of a set, and how far two models agree.
. "$(dirname "$0")/common.sh"
make_data
expect 0 '' "$skive" train mlp:8 --data $data --batch 32 --epochs 2 -q -o m.onnx
expect 0 '' "$skive" train mlp:8 --data $data --batch 32 --epochs 1 --seed 7 -q -o other.onnx
expect 0 '' "$skive" quantize m.onnx --weights int8 -q -o w8.onnx
expect 0 '' "$skive" data $data --split train-full --in-order --samples 600 --array x.npy --no-summary
# The rows are those that the model gives for the samples themselves.
expect 0 'logits -> y.npy: float32 \[[0-9]+, 3\]' "$skive" run m.onnx --data npy:x.npy --split train-full -o y.npy
expect 0 '' "$skive" run m.onnx --data npy:x.npy --split train-full --limit 50 --batch 7 -o few.npy
expect 0 '"shape"' "$skive" run m.onnx --data npy:x.npy --split train-full -o z.npy --json
checks=$((checks + 1))
cmp -s y.npy z.npy || {
    echo "FAIL: two runs differ"
    failures=$((failures + 1))
}
checks=$((checks + 1))
size=$(wc -c <few.npy)
[ "$size" -eq $((128 + 50 * 3 * 4)) ] || {
    echo "FAIL: few.npy has $size bytes"
    failures=$((failures + 1))
}
expect 2 'input has no effect with --data' "$skive" run m.onnx --data npy:x.npy -i x.npy -o q.npy
cp x.npy kept.npy
expect 2 'x.npy is a file of the data set' "$skive" run m.onnx --data npy:x.npy -o ./x.npy
expect 2 'labels.idx is a file of the data set' "$skive" run m.onnx --data $data -o labels.idx
mkdir -p photos/cat && echo x >photos/cat/1.PNG
expect 2 'photos/cat/1.PNG is a file of the data set' "$skive" run m.onnx --data folder:photos -o photos/cat/1.PNG
expect 2 'photos/cat/../cat/1.PNG is a file of the data set' "$skive" quantize m.onnx --data folder:photos -o photos/cat/../cat/1.PNG
[ "$(cat photos/cat/1.PNG)" = x ] || { echo 'FAIL: the picture is gone'; failures=$((failures + 1)); }
expect 0 '' cmp x.npy kept.npy
expect 0 'mean 3 deviation 2 \(as given\)' "$skive" run m.onnx --data npy:x.npy --mean 3 --std 2 -o own.npy
expect 2 'limit needs --data' "$skive" run m.onnx -i x.npy --limit 3 -o q.npy
absent q.npy
# Agreement: with itself all, without labels and with labels that are not looked at.
expect 0 '^m.onnx +100.00 \[[0-9.]+, 100.00\] +0 +0 +equal' "$skive" compare m.onnx m.onnx --data npy:x.npy --split train-full --names a.onnx,m.onnx
expect 0 '^other.onnx +[0-9.]+ \[' "$skive" compare m.onnx other.onnx --data $data --split train-full --no-labels
expect 0 '^w8.onnx +[0-9.]+ \[[0-9.]+, [0-9.]+\] +[0-9.e-]+ +[0-9.e-]+ +[3-9][0-9]\.[0-9]' "$skive" compare m.onnx w8.onnx --data npy:x.npy --split train-full
expect 0 '"sqnr"' "$skive" compare m.onnx w8.onnx --data npy:x.npy --split train-full --json
expect 2 'max-drop has no effect without labels' "$skive" compare m.onnx w8.onnx --data npy:x.npy --max-drop 1
no_leftovers
finish
