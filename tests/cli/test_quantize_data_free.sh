#!/usr/bin/env bash
# skive quantize without samples: weights alone on several grids, dynamic quantization, what is refused.
. "$(dirname "$0")/common.sh"
make_data
bytes() { stat -c %s "$1"; }
holds() { # what TEST...: a condition
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" || { echo "FAIL: $what"; failures=$((failures + 1)); }
}

expect 0 'wrote mlp.onnx' "$skive" train mlp:64,60 --data $data --epochs 4 --batch 32 -q -o mlp.onnx
expect 0 'wrote lstm.onnx' "$skive" train lstm --data $data --epochs 0 -o lstm.onnx
expect 0 'wrote gru.onnx' "$skive" train gru --data $data --epochs 0 -o gru.onnx
expect 0 'wrote conv.onnx' "$skive" train resnet20 --data $data --epochs 0 -o conv.onnx

# ---- weights ----
for grid in int8 int8:tensor int4 int4:32 int4:48 uint4:16,asymmetric uint8:tensor,asymmetric int6 f16 bf16 f8e4m3 f8e5m2:channel \
    nf4:32 nf4:48 log2h mxint8 piecewise codebook; do
    expect 0 'quantized 3 weights' "$skive" quantize mlp.onnx --weights $grid -o "w_${grid//[:,]/_}.onnx"
    expect 0 'accuracy +(9[0-9]|100)' "$skive" eval "w_${grid//[:,]/_}.onnx" --data $data
done
# Symmetric unsigned grids have their zero in the middle, and the file says so.
for grid in uint16 uint8 uint8:tensor uint4 uint4:16; do
    w="u_${grid//[:,]/_}.onnx"
    expect 0 'quantized 3 weights' "$skive" quantize mlp.onnx --weights $grid -o "$w"
    expect 0 'accuracy +(9[0-9]|100)' "$skive" eval "$w" --data $data
done
expect 0 'wrote u_calibrated.onnx' "$skive" quantize mlp.onnx --weights uint8 --data $data --samples 60 -o u_calibrated.onnx
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval u_calibrated.onnx --data $data
holds 'half' [ $((10 * $(bytes w_f16.onnx))) -lt $((6 * $(bytes mlp.onnx))) ]
holds 'a quarter' [ $((10 * $(bytes w_int8.onnx))) -lt $((4 * $(bytes mlp.onnx))) ]
holds 'an eighth, and scales' [ $((10 * $(bytes w_int4_32.onnx))) -lt $((3 * $(bytes mlp.onnx))) ]
expect 0 'wrote half.onnx' "$skive" quantize mlp.onnx --to fp16 -o half.onnx
expect 0 '' cmp half.onnx w_f16.onnx
expect 0 'wrote lstm8.onnx' "$skive" quantize lstm.onnx --weights int8 -o lstm8.onnx
expect 0 'has one scale for each output channel' "$skive" quantize conv.onnx --weights int4:16 -o conv4.onnx
expect 0 'excluded by --skip' "$skive" quantize mlp.onnx --weights int8 --skip fc1 -o skipped.onnx
expect 0 '"expected_weight_bytes": [0-9]+' "$skive" quantize mlp.onnx --weights int4 --json -o json.onnx
expect 0 'nothing was written' "$skive" quantize mlp.onnx --weights int4 --dry-run -o dry.onnx
absent dry.onnx

# ---- dynamic ----
expect 0 'quantized 3 nodes in' "$skive" quantize mlp.onnx --dynamic -o dynamic.onnx
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval dynamic.onnx --data $data
expect 0 'DynamicQuantizeLinear' "$skive" inspect dynamic.onnx
expect 0 'wrote tensor.onnx' "$skive" quantize mlp.onnx --dynamic --per-tensor -o tensor.onnx
expect 0 'quantized 2 nodes in' "$skive" quantize lstm.onnx --dynamic -o lstm_d.onnx
expect 0 'DynamicQuantizeLSTM' "$skive" inspect lstm_d.onnx
expect 0 'quantized 2[0-9] nodes in' "$skive" quantize conv.onnx --dynamic -o conv_d.onnx
expect 0 'ConvInteger' "$skive" inspect conv_d.onnx
expect 0 'quantized 2 nodes in' "$skive" quantize gru.onnx --dynamic -o gru_d.onnx
expect 0 'Scan' "$skive" inspect gru_d.onnx
expect 0 'cell_dynamic_u8s8' "$skive" explain gru_d.onnx

# ---- weights of few bits, with samples ----
q() { "$skive" quantize mlp.onnx --data $data --samples 60 --weights int4 "$@"; }
expect 0 'weight int4' q --table -o w4.onnx
expect 0 'layer by layer: the squared error' q --rounding gptq -o gptq.onnx
expect 0 'of before' q --rounding adaround:iterations=20 --table -o ada.onnx
expect 0 '"method": "gptq"' q --rounding gptq --json -o json4.onnx
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval gptq.onnx --data $data
expect 0 'equalization: 2 layers' q --equalize --bias-correction empirical -o equal.onnx
expect 2 "no rounding 'adarund'" q --rounding adarund -o no.onnx
expect 2 'rounding has no use' "$skive" quantize mlp.onnx --weights int4 --rounding gptq -o no.onnx
expect 2 'data none quantizes without samples: --samples has no use' "$skive" quantize mlp.onnx --data none --samples 5 -o no.onnx
expect 6 'BatchNormalization' "$skive" quantize mlp.onnx --data none --input-low 0 --input-high 1 -o no.onnx
expect 2 'input-low is for --data none' q --input-low 0 -o no.onnx
absent no.onnx

# ---- what cannot be ----
expect 2 'only one of --dynamic and --to' "$skive" quantize mlp.onnx --dynamic --to f16 -o no.onnx
expect 2 'only one of --weights and --to' "$skive" quantize mlp.onnx --weights int8 --to f16 -o no.onnx
expect 0 'weights to 7 bits' "$skive" quantize mlp.onnx --dynamic --weights int7 -o seven.onnx
expect 6 "does not take weights on the grid 'int4'; it takes int8 and int7" "$skive" quantize mlp.onnx --dynamic --weights int4 -o no.onnx
expect 2 'dynamic quantizes without samples: --data has no use' "$skive" quantize mlp.onnx --dynamic --data $data -o no.onnx
expect 2 "no number grid 'int44'" "$skive" quantize mlp.onnx --weights int44 -o no.onnx
expect 2 'already quantized' "$skive" quantize dynamic.onnx --dynamic -o no.onnx
expect 13 "no node 'fc9'" "$skive" quantize mlp.onnx --weights int8 --skip fc9 -o no.onnx
for option in '--quantize-batch 5' '--batch 5' '--mean 1' '--resize 8' '--skip-bad'; do
    expect 2 "data none quantizes without samples: ${option%% *} has no use" "$skive" quantize conv.onnx --data none $option -o no.onnx
done
expect 2 "no input 'x'" "$skive" quantize conv.onnx --data none --shape x=1,1,8,8 -o no.onnx
expect 0 'wrote none.onnx' "$skive" quantize conv.onnx --data none --shape input=1,1,8,8 -o none.onnx
expect 0 'by the statistics of BatchNormalization' "$skive" quantize conv.onnx --data none --dry-run
expect 2 'quantize-batch has no use' "$skive" quantize mlp.onnx --dynamic --quantize-batch 5 -o no.onnx
for way in '--weights int8' '--to f16'; do
    for option in '--batch 5' '--table' '--no-slower'; do
        expect 2 "${option%% *} has no use" "$skive" quantize mlp.onnx $way $option -o no.onnx
        one_line
    done
done
expect 2 '.-table has no use' "$skive" quantize mlp.onnx --dynamic --table -o no.onnx
expect 2 'write --weights int8:tensor' "$skive" quantize mlp.onnx --weights int8 --per-tensor -o no.onnx
expect 2 'contradicts --weights int4:channel: write --weights int4:tensor' "$skive" quantize mlp.onnx --data $data --weights int4:channel --per-tensor -o no.onnx
expect 2 'layer-samples is for what is done layer by layer' q --layer-samples 20 -o no.onnx
expect 0 'wrote layered.onnx' q --layer-samples 20 --rounding gptq -o layered.onnx
expect 2 "no grid for activations 'float'" q --activations float -o no.onnx
expect 6 'do not follow from a range' q --activations piecewise -o no.onnx
expect 2 "take 'log2'" "$skive" quantize mlp.onnx --weights ulog2 -o no.onnx
expect 0 'for it take --to nf4' "$skive" quantize mlp.onnx --data $data --samples 60 --weights nf4 -o nf4.onnx
for grid in log2 ulog2b3 uint3 f8e4m3; do
    expect 0 'wrote a.onnx' q --activations $grid -o a.onnx
    expect 0 'accuracy +(9[0-9]|100)' "$skive" eval a.onnx --data $data
done
expect 0 'wrote mx.onnx' "$skive" quantize mlp.onnx --weights mxfp4 -o mx.onnx
absent no.onnx

# Biases of ternary weights belong to sums of integers, as those of int2.
expect 0 'wrote ternary.onnx' "$skive" quantize mlp.onnx --data $data --samples 60 --weights ternary -o ternary.onnx
holds 'integer biases' grep -qa bias_quantized ternary.onnx
no_leftovers
finish
