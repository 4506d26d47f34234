#!/bin/bash
# "-": models and arrays from standard input, results to standard output with all text beside them.
. "$(dirname "$0")/common.sh"
make_data
"$skive" train mlp:8 --data $data --epochs 1 --batch 32 -q -o model.onnx >/dev/null || exit 1
"$skive" pack model.onnx -o model.skv >/dev/null || exit 1

same() {
    checks=$((checks + 1))
    if ! cmp -s "$1" "$2"; then
        echo "FAIL: $1 and $2 differ"
        failures=$((failures + 1))
    fi
}
through() { "$skive" "$@" <model.onnx; }

expect 0 'total +[0-9]' through inspect -
expect 0 'total +[0-9]' sh -c "cat model.onnx | '$skive' inspect -"
expect 0 'total +[0-9]' sh -c "'$skive' inspect - <model.skv"
expect 0 '"parameters"' through inspect - --json
expect 5 '^skive inspect: standard input is empty' sh -c "'$skive' inspect - </dev/null"
expect 5 '^skive inspect: standard input: ' sh -c "echo hello | '$skive' inspect -"
one_line

# The same bytes as through files, and text beside them.
"$skive" prune model.onnx --sparsity 0.5 -o file.onnx >/dev/null || exit 1
through prune - --sparsity 0.5 -o - >piped.onnx 2>text.txt || failures=$((failures + 1))
same file.onnx piped.onnx
expect 0 'wrote standard output: weights' cat text.txt
"$skive" prune - --sparsity 0.5 -o - <model.onnx 2>/dev/null | cat >piped.onnx
same file.onnx piped.onnx
through pack - -o - 2>/dev/null >piped.skv
same model.skv piped.skv
through prune - --sparsity 0.5 -o - --json 2>text.txt >piped.onnx
same file.onnx piped.onnx
expect 0 '"output": "standard output"' cat text.txt

# Arrays.
perl -e 'my $h = "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: (1, 1, 8, 8), }"; $h .= " " x (63 - (10 + length $h) % 64) . "\n";
    print "\x93NUMPY\x01\x00", pack("v", length $h), $h, pack("f<64", map { $_ / 64 } 1 .. 64)' >x.npy
if "$skive" run model.onnx --input x.npy -o y.npy >/dev/null 2>&1; then
    "$skive" run model.onnx --input - -o - <x.npy >piped.npy 2>/dev/null
    same y.npy piped.npy
    "$skive" run - --input x.npy -o logits=- <model.onnx >piped.npy 2>/dev/null
    same y.npy piped.npy
    checks=$((checks + 1))
else
    echo "FAIL: the array does not fit the model"
    failures=$((failures + 1))
fi

# Only one of a kind; failures write nothing; terminals are no place for binary data.
expect 2 'only one input can be standard input' through run - --input - -o y.npy
expect 2 'only one output can be standard output' through run - --input x.npy -o - -o -
expect 2 'data needs the name of a file' "$skive" eval model.onnx --data -
through prune - --sparsity 7 -o - >none.onnx 2>/dev/null
checks=$((checks + 1))
if [ -s none.onnx ]; then
    echo "FAIL: a failed command wrote to standard output"
    failures=$((failures + 1))
fi
if command -v script >/dev/null; then
    expect 0 'is a terminal, which cannot show' script -qc "'$skive' prune model.onnx --sparsity 0.5 -o -; true" /dev/null
    expect 0 'is a terminal; redirect' script -qc "'$skive' inspect -; true" /dev/null
fi
checks=$((checks + 1))
mkdir tmp
through prune - --sparsity 0.5 -o - 2>/dev/null | head -c 10 >/dev/null
TMPDIR=$work/tmp "$skive" prune model.onnx --sparsity 0.5 -o - >/dev/full 2>err.txt
[ $? -eq 4 ] && grep -q 'cannot write to standard output' err.txt || { echo "FAIL: a full disk"; cat err.txt; failures=$((failures + 1)); }
TMPDIR=$work/tmp through prune - --sparsity 0.5 -o - >/dev/null 2>&1
if [ -n "$(ls tmp)" ]; then
    echo "FAIL: temporary files were left behind"
    failures=$((failures + 1))
fi

finish
