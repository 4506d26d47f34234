#!/usr/bin/env bash
# cost: the table of measured times. No time decides anything here.
. "$(dirname "$0")/common.sh"
export XDG_CACHE_HOME=$work/cache
make_data
expect 0 'wrote m.onnx' "$skive" train vgg-small:0.1 --data $data --epochs 0 -o m.onnx
expect 0 '^sum of the nodes .*; whole model .*; the sum is off by [+-][0-9]+ %' "$skive" cost m.onnx
expect 0 'stage1.conv1 .*Conv .* 1,728 ' "$skive" cost m.onnx
expect 0 '([0-9]+) of \1 times from the table .*/skive/costs-' "$skive" cost m.onnx
expect 0 '"cached": true' "$skive" cost m.onnx --json
expect 0 '0 of [0-9]+ times from the table' "$skive" cost m.onnx --threads 1 --table mine.txt
expect 0 '"threads": 1' "$skive" cost m.onnx --threads 1 --table mine.txt --json
checks=$((checks + 1))
[ -s mine.txt ] || { echo "FAIL: no mine.txt"; failures=$((failures + 1)); }
echo x >>mine.txt
expect 0 'mine.txt is damaged' "$skive" cost m.onnx --threads 1 --table mine.txt
expect 0 '([0-9]+) of \1 times' "$skive" cost m.onnx --threads 1 --table mine.txt
expect 0 '0 of [0-9]+ times from the table' "$skive" cost m.onnx --table none
expect 4 'nowhere' "$skive" cost m.onnx --table nowhere/costs.txt
expect 4 'no.onnx' "$skive" cost no.onnx
no_leftovers
finish
