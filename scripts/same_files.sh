#!/usr/bin/env bash
# Two builds of skive, of which one may be for another processor under an emulator, write the same files (ONNX, .skv,
# npy) and compute the same integer results: a network is trained and quantized by the first, and both convert and run it.
# Usage: same_files.sh SKIVE OTHER [LEVEL ...]   (LEVEL: values of SKIVE_ISA for OTHER)
other=$(realpath "$2")
# shellcheck disable=SC2154 # set by common.sh
levels=("${@:3}")
# shellcheck source=/dev/null disable=SC2154
. "$(dirname "$0")/../tests/cli/common.sh"
[ ${#levels[@]} -gt 0 ] || levels=("")
make_data
"$skive" train resnet20 --data "$data" --epochs 1 --batch 32 -q -o model.onnx >/dev/null || exit 1
"$skive" quantize model.onnx --data "$data" -q -o int8.onnx >/dev/null || exit 1
"$skive" pack model.onnx -q -o model.skv >/dev/null || exit 1

work_of() { # PREFIX COMMAND: everything that writes
    "$2" simplify model.onnx -q -o "$1.onnx" &&
        "$2" prune model.onnx --sparsity 0.5 -q -o "$1-pruned.onnx" &&
        "$2" pack "$1-pruned.onnx" -q -o "$1-pruned.skv" &&
        "$2" pack int8.onnx -q -o "$1-int8.skv" &&
        "$2" unpack model.skv -q -o "$1-unpacked.onnx" &&
        "$2" eval int8.onnx --data "$data" --json -q >"$1-eval.json" &&
        sed -i /samples_per_second/d "$1-eval.json"
}
files=(.onnx -pruned.onnx -pruned.skv -int8.skv -unpacked.onnx -eval.json)
work_of here "$skive" >/dev/null 2>here.err || { cat here.err; exit 1; }
for level in "${levels[@]}"; do
    checks=$((checks + 1))
    SKIVE_ISA=$level work_of there "$other" >/dev/null 2>there.err || { cat there.err; failures=$((failures + 1)); }
    for file in "${files[@]}"; do
        checks=$((checks + 1))
        cmp "here$file" "there$file" || failures=$((failures + 1))
    done
done
echo "same_files: $checks checks, $failures failures"
[ "$failures" -eq 0 ]
