#!/bin/bash
# Few resources and signals: fewer threads than were asked for, and one node that computes for minutes.
. "$(dirname "$0")/common.sh"
make_data
"$skive" train mlp:8 --data $data --epochs 1 --batch 32 -q -o model.onnx >/dev/null || exit 1

# A limit on the address space. Sanitizers reserve more than that for themselves.
if (ulimit -v 300000 && "$skive" -V) >/dev/null 2>&1; then
    for threads in 8 64 1024; do
        checks=$((checks + 1))
        (ulimit -v 300000 && exec "$skive" quantize model.onnx --data $data -t $threads -o q.onnx) >out.txt 2>err.txt
        got=$?
        if [ $got -ne 0 ] && [ $got -ne 3 ]; then
            echo "FAIL: status $got with $threads threads in 300 MB"
            cat err.txt
            failures=$((failures + 1))
        fi
    done
    checks=$((checks + 1))
    if ! grep -q 'threads were requested, but only [0-9]* can be started' err.txt; then
        echo "FAIL: nothing was said of fewer threads"
        cat err.txt
        failures=$((failures + 1))
    fi
fi

# A single node that would run for hours ends soon after the signal.
perl "$here/onnx.pl" || exit 1
"$skive" run long.onnx --input x.npy -o y.npy -t 1 >out.txt 2>err.txt &
job=$!
sleep 1
kill -INT $job
checks=$((checks + 1))
wait $job
got=$?
if [ $got -ne 130 ]; then
    echo "FAIL: status $got of a long node after SIGINT"
    failures=$((failures + 1))
fi
absent y.npy
no_leftovers

finish
