#!/usr/bin/env bash
# Models that are none, or that ask for what skive lacks: one line that names file and place, a documented exit status, and no
# file written.
. "$(dirname "$0")/common.sh"
perl "$here/onnx.pl" || exit 1

expect 0 'sum +Add +float32\[1,4\] +float32\[4\] +4 ' "$skive" inspect good.onnx
expect 0 'y -> y.npy' "$skive" run good.onnx --input x=x.npy -o y.npy

# Elements of 4 bits, which Gather of ONNX lacks, can be written again.
expect 0 'differ by 0 at most' "$skive" simplify rows.onnx -o wide.onnx
expect 0 'y -> rows.npy' "$skive" run rows.onnx --input i=i.npy -o rows.npy
expect 0 'y -> wide.npy' "$skive" run wide.onnx --input i=i.npy -o wide.npy
expect 0 '' cmp rows.npy wide.npy
rm wide.onnx

# Names are bytes; JSON is text.
for command in inspect explain "bench --seconds 0.01"; do
    expect 0 '"s\?m"' "$skive" $command bytes.onnx --json
done

# MODEL STATUS PATTERN
bad() {
    for command in "inspect" "run --input x.npy -o z.npy" "prune -o z.onnx"; do
        expect "$2" "$1.onnx.*$3" "$skive" ${command%% *} "$1.onnx" $(echo "$command" | cut -s -d ' ' -f 2-)
        one_line
    done
    absent z.npy
    absent z.onnx
}
bad overflow 12 'w: shape \[1099511627776,1099511627776\] overflows'
bad negative 5 'w: dimension 0 is -1'
bad short 5 'w: shape \[4\] of float32 needs 16 bytes, but the file has 8'
bad cycle 7 "node 'first' .*cycle"
bad undefined 7 'sum .*ghost'
bad twice 7 'two .*y is already'
bad shapes 8 "'filter'"
bad nested 12 'nested deeper'

# Cut off anywhere.
size=$(stat -c %s good.onnx)
for at in $(seq 0 5 $((size - 1))); do
    head -c "$at" good.onnx >cut.onnx
    checks=$((checks + 1))
    "$skive" inspect cut.onnx >out.txt 2>err.txt
    got=$?
    case $got in
    5 | 7 | 8 | 12) one_line ;;
    *)
        echo "FAIL: cut at $at gave status $got"
        cat err.txt
        failures=$((failures + 1))
        ;;
    esac
done

# Operators skive lacks: the model is listed whole, and refused with all of them at once, before anything else is asked for.
expect 0 '^second +Relu' "$skive" inspect unknown.onnx
for line in '^first +Frob' '^third +Blub' '^fourth +Frob' 'cannot be run: unsupported operators: Frob \(com.example\) x2, Blub x1'; do
    expect 0 "$line" "$skive" inspect unknown.onnx
done
expect 0 '"unsupported": "Frob \(com.example\) x2, Blub x1"' "$skive" inspect --json unknown.onnx
for arguments in "run -o z.npy" "bench" "explain" "eval --data idx:a,b" "quantize --data idx:a,b -o z.onnx"; do
    expect 6 'unknown.onnx: cannot be run: unsupported operators: Frob \(com.example\) x2, Blub x1' "$skive" ${arguments%% *} unknown.onnx $(echo "$arguments" | cut -s -d ' ' -f 2-)
    one_line
done
absent z.npy
absent z.onnx

# Every status seen here is explained.
for status in 0 2 4 5 6 7 8 9 12 13 130; do
    expect 0 "^ +$status  [a-z]" "$skive" --help
done
no_leftovers
finish
