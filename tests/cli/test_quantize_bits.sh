#!/usr/bin/env bash
# skive quantize under a budget: bits for each layer; what is refused; onnxruntime reads the files.
. "$(dirname "$0")/common.sh"
make_data

expect 0 'wrote mlp.onnx' "$skive" train mlp:40,30 --data $data --epochs 4 --batch 32 -q -o mlp.onnx
small() { # FILE BYTES
    checks=$((checks + 1))
    [ "$(stat -c %s "$1")" -le "$2" ] || { echo "FAIL: $1 is over $2 bytes"; failures=$((failures + 1)); }
}
for budget in 24000 6500 5600; do
    expect 0 'bytes: budget' "$skive" quantize mlp.onnx --data $data --samples 50 --bytes "${budget}B" -o "b$budget.onnx"
    small "b$budget.onnx" $budget
done
expect 11 'cannot be reached with the grids int8,int4; the smallest is [0-9]+' \
    "$skive" quantize mlp.onnx --data $data --samples 50 --bytes 2k -o no.onnx
one_line
expect 0 'test: [0-9]+ samples' "$skive" quantize mlp.onnx --data $data --samples 50 --bytes 0.5 --by loss -o c.onnx
expect 0 '"bit-operations": ' "$skive" quantize mlp.onnx --data $data --samples 50 --bit-operations 0.05 --json -o d.onnx
expect 0 'latency: budget 10000 ms, used [0-9.e-]+ ms, smallest measured [0-9.e-]+ ms' "$skive" quantize mlp.onnx --data $data --samples 50 --latency 10s --grids int8,f32 -o e.onnx
expect 0 'within|least' "$skive" quantize mlp.onnx --data $data --samples 50 --bytes 0.5 --max-drop 100 -o f.onnx
expect 2 'skive pack --bytes' "$skive" quantize mlp.onnx --data $data --bytes 0.2 -o no.skv
# ---- both: as much of the way to the budget as the limit on the loss allows ----
least=$("$skive" quantize mlp.onnx --data $data --samples 50 --bytes 18k --dry-run --json 2>/dev/null |
    sed -n 's/.*"least": \([0-9]*\).*/\1/p' | head -1)
tight=$((least + 50))
expect 0 '24 of 24 parts of the way to the budget' \
    "$skive" quantize mlp.onnx --data $data --samples 50 --bytes ${tight}B --max-drop 100 -o g.onnx
small g.onnx $tight
expect 0 '"control": ' \
    "$skive" quantize mlp.onnx --data $data --samples 50 --bytes ${tight}B --max-drop 100 --json -o g.onnx
# The least harm is within the budget: there is one way.
expect 0 '1 of 1 parts' "$skive" quantize mlp.onnx --data $data --samples 50 --bytes 18k --max-drop 100 -o g.onnx
# ---- a dry run chooses and measures sizes, and writes nothing ----
expect 0 'bytes: budget 18000' "$skive" quantize mlp.onnx --data $data --samples 50 --bytes 18k --dry-run
expect 0 '"dry_run": true' "$skive" quantize mlp.onnx --data $data --samples 50 --bytes 18k --dry-run --json
expect 2 'a budget is spent by' "$skive" quantize mlp.onnx --bytes 0.2 --dry-run
expect 2 'needs labelled|labelled samples' "$skive" quantize mlp.onnx --input x.npy --bytes 0.2 -o no.onnx
expect 2 'grids' "$skive" quantize mlp.onnx --data $data --grids int8 -o no.onnx
expect 2 'cannot be combined' "$skive" quantize mlp.onnx --data $data --qat --bytes 0.2 -o no.onnx
expect 2 'has no use' "$skive" quantize mlp.onnx --dynamic --bytes 0.2 -o no.onnx
expect 2 'cannot be combined' "$skive" quantize mlp.onnx --data $data --bytes 0.2 --weights int4 -o no.onnx

# ---- for a runtime ----
for runtime in onnxruntime tensorrt tflite cmsis-nn; do
    expect 0 "wrote for_$runtime.onnx" "$skive" quantize mlp.onnx --data $data --samples 50 --for $runtime -o for_$runtime.onnx
done
expect 6 "tensorrt does not take weights on the grid 'int4'" \
    "$skive" quantize mlp.onnx --data $data --for tensorrt --weights int4 -o no.onnx
expect 0 'products of int8 weights in pairs' "$skive" quantize mlp.onnx --data $data --samples 50 --for onnxruntime -o for_int8.onnx
expect 6 'does not take activations' "$skive" quantize mlp.onnx --data $data --for tflite --activations uint8 -o no.onnx
expect 2 "no runtime 'tflit'" "$skive" quantize mlp.onnx --data $data --for tflit -o no.onnx
expect 2 'has no use' "$skive" quantize mlp.onnx --dynamic --for tflite -o no.onnx
expect 6 "tflite does not take weights on the grid 'int4'" \
    "$skive" quantize mlp.onnx --data $data --for tflite --bytes 0.5 --grids int8,int4 -o no.onnx
expect 0 'wrote tflite8.onnx' "$skive" quantize mlp.onnx --data $data --samples 50 --for tflite --bytes 0.9 -o tflite8.onnx
expect 2 'grids int8:tensor,int4:tensor' "$skive" quantize mlp.onnx --data $data --per-tensor --bytes 0.5 -o no.onnx
absent no.onnx
others_read_them
no_leftovers
finish
