#!/usr/bin/env bash
# quantize: nodes left in float, and what it says about them.
. "$(dirname "$0")/common.sh"
make_data

expect 0 'wrote m.onnx' "$skive" train mlp:16,8 --data $data --epochs 2 --batch 32 -o m.onnx

# A name of no node is a mistake, alone and among right ones; patterns are names too.
expect 13 "no node 'fc9'; did you mean 'fc" "$skive" quantize m.onnx --data $data --skip fc9 -o q.onnx
one_line
expect 13 "no node 'fc9'" "$skive" quantize m.onnx --data $data --skip fc1 --skip fc9 -o q.onnx
expect 13 "no node's name matches 'conv\*'" "$skive" quantize m.onnx --data $data --skip 'conv*' -o q.onnx
absent q.onnx
expect 0 'kept in float: 2 Gemm \(1,[0-9]+ weights\): it is excluded by --skip' \
    "$skive" quantize m.onnx --data $data --skip 'fc[12]' -o q.onnx
expect 0 '"count": 1' "$skive" quantize m.onnx --data $data --skip fc1 --json -o q.onnx
expect 6 'no node that can be quantized' "$skive" quantize m.onnx --data $data --skip 'fc*' -o q.onnx

# What it tells: each output's distance from the float model, on which samples, the worst values; the same as JSON.
expect 0 "output 'logits': SQNR [0-9.]+ dB, same answer on [0-9.]+ %" "$skive" quantize m.onnx --data $data -o q.onnx
expect 0 'on 64 samples held out' "$skive" quantize m.onnx --data $data -o q.onnx
expect 0 'quantized 3 nodes with 536 calibration samples and 64 held out' "$skive" quantize m.onnx --data $data -o q.onnx
expect 0 'too few to hold any out' "$skive" quantize m.onnx --data $data --samples 3 -o q.onnx
expect 0 'values with the lowest SQNR' "$skive" quantize m.onnx --data $data -o q.onnx
for key in '"sqnr_db": [0-9]' '"same_answer": [01]' '"check_samples": 64' '"held_out": true' '"worst":' '"calibration": "(auto|minmax|mse)"'; do
    expect 0 "$key" "$skive" quantize m.onnx --data $data --json -o q.onnx
done

# A file that grows is no success, however small its weights are.
expect 0 '' "$skive" train mlp:2 --data $data --epochs 0 -o tiny.onnx
expect 0 '[2-9][.0-9]+x\); file .*; it is NOT smaller' "$skive" quantize tiny.onnx --data $data -o q.onnx
expect 0 'file [0-9.]+ [KM]iB, was [0-9.]+ [KM]iB$' "$skive" quantize m.onnx --data $data -o q.onnx

# Fixed-point multipliers travel with the model, packed too; where they would change nothing they are refused.
expect 0 'multipliers are fixed-point' "$skive" quantize m.onnx --data $data --multiplier fixed -o fixed.onnx
expect 0 '"multipliers": "fixed"' "$skive" quantize m.onnx --data $data --multiplier fixed --json -o fixed.onnx
expect 0 'multipliers of integers  fixed' "$skive" inspect fixed.onnx
expect 0 'wrote fixed.skv' "$skive" pack fixed.onnx -o fixed.skv
expect 0 'multipliers of integers  fixed' "$skive" inspect fixed.skv
expect 0 'fixed-point multipliers' "$skive" explain fixed.onnx --verbose
expect 2 "'int16'" "$skive" quantize m.onnx --data $data --multiplier fixed --activations int16 -o q.onnx
expect 2 'float, fixed|float or fixed' "$skive" quantize m.onnx --data $data --multiplier q15 -o q.onnx
expect 2 '--multiplier has no use' "$skive" quantize m.onnx --dynamic --multiplier fixed -o q.onnx
expect 2 'stay float' "$skive" quantize m.onnx --data $data --qat --epochs 1 --activations float --multiplier fixed -o q.onnx
expect 0 'wrote aware.onnx' "$skive" quantize m.onnx --data $data --qat --epochs 1 --multiplier fixed -o aware.onnx
expect 0 'multipliers of integers  fixed' "$skive" inspect aware.onnx

# Pixels instead of normalised floats.
expect 2 'cannot be combined with --qat' "$skive" quantize m.onnx --data $data --qat --input-type uint8 -o q.onnx
expect 2 '--input-type has no use' "$skive" quantize m.onnx --dynamic --input-type uint8 -o q.onnx
expect 2 'no type of an input' "$skive" quantize m.onnx --data $data --input-type int7 -o q.onnx

# Samples for an input by its name, without labels; the last of them far outside all others.
python3 - <<'P'
import random, struct
random.seed(3)
def save(name, shape, values):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % (shape,)
    header += ' ' * (64 - (len(header) + 11) % 64) + '\n'
    open(name, 'wb').write(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header.encode() +
                           struct.pack('<%df' % len(values), *values))
x = [random.gauss(0, 1) for _ in range(40 * 64)]
save('x.npy', (40, 1, 8, 8), x)
save('marked.npy', (40, 1, 8, 8), x[:-1] + [-9999.0])
save('narrow.npy', (40, 1, 8, 7), x[: 40 * 56])
P
if [ -e x.npy ]; then
    expect 0 'with 35 calibration samples and 5 held out' "$skive" quantize m.onnx -i input=x.npy -o q.onnx
    expect 0 "warning: .* was -9999 in calibration sample 39" "$skive" quantize m.onnx -i marked.npy -o q.onnx --quiet
    expect 2 'no such input|has no input' "$skive" quantize m.onnx -i pixels=x.npy -o q.onnx
    expect 8 '\[40,1,8,7\]' "$skive" quantize m.onnx -i input=narrow.npy -o q.onnx
    expect 2 'cannot be combined' "$skive" quantize m.onnx -i x.npy --data $data -o q.onnx
fi
expect 2 '--input' "$skive" quantize m.onnx -o q.onnx

finish
