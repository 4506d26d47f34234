#!/bin/bash
# Goals of compare: met, missed with status 11 and the line that says so, and those that cannot be held against anything.
. "$(dirname "$0")/common.sh"
make_data
"$skive" train mlp:64 --data $data --epochs 3 --batch 32 -q -o large.onnx >/dev/null || exit 1
"$skive" train mlp:8 --data $data --epochs 1 --batch 32 --lr 1e-9 -q -o small.onnx >/dev/null || exit 1
cp large.onnx same.onnx
compare() { "$skive" compare "$@" --data $data --seconds 0; }

expect 0 'model' compare large.onnx same.onnx --max-drop 0 --max-bytes 1G --min-speedup 0.001
expect 11 '^skive compare: goal missed: the file of large.onnx has .*; --max-bytes 1.00 KiB \(1024\)' compare small.onnx large.onnx --max-bytes 1K
expect 11 '^skive compare: goal missed: same.onnx is [0-9.]+ times as fast as the first; --min-speedup 1000' compare large.onnx same.onnx --min-speedup 1000
expect 11 '^skive compare: goal missed: small.onnx loses [0-9.]+ points' compare large.onnx small.onnx --max-drop 0.5
# The figures still come, and every missed goal has its line.
expect 11 '"models"' compare large.onnx small.onnx same.onnx --max-drop 0.5 --max-bytes 10 --json
checks=$((checks + 1))
if [ "$(grep -c 'goal missed' err.txt)" -ne 3 ]; then
    echo "FAIL: not three missed goals"
    cat err.txt
    failures=$((failures + 1))
fi
# The first model is what the others are held against: no goal is its own.
expect 0 'model' compare small.onnx large.onnx --max-drop 0
expect 2 '--max-drop is -1; it must be between 0 and 100' compare large.onnx same.onnx --max-drop -1
expect 2 '--max-bytes lots is not a size' compare large.onnx same.onnx --max-bytes lots
expect 2 '--min-speedup is 0; it must' compare large.onnx same.onnx --min-speedup 0

finish
