#!/bin/sh
# Measures skive against its peers, row by row, and writes bench/results/ (one JSON file a row and the table README.md).
#   bench/run.sh [PATTERN ...]      only the rows whose name matches a shell pattern, e.g. 'train_*' 'infer_resnet50*'
#   bench/run.sh --list             the rows' names
# Environment: BUILD (build directory, default build), SKIVE_BENCH_OTHERS (other people's models), SKIVE_BENCH_MODELS (where the ONNX models are put, default
# ${XDG_CACHE_HOME:-~/.cache}/skive/bench), ROUNDS (default 9), RESULTS (default bench/results), SKIVE_PEERS_VENV.
# Exit status: 0 all asked rows measured (met or not: the table says), 1 a row could not be measured, 77 no peers.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.." || exit 1
build=${BUILD:-build}
models=${SKIVE_BENCH_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/bench}
results=${RESULTS:-bench/results}
rounds=${ROUNDS:-9}
list=0
[ "${1:-}" = "--list" ] && { list=1; shift; }
patterns=${*:-*}
failed=0
measured=0

wanted() { # NAME
    if [ $list = 1 ]; then
        echo "$1"
        return 1
    fi
    set -f
    for p in $patterns; do
        # shellcheck disable=SC2254
        case $1 in $p) set +f; return 0 ;; esac
    done
    set +f
    return 1
}

lack() { # ROW MESSAGE
    echo "$1: $2" >&2
    failed=1
}

row() { # NAME GOAL COUNT WHAT  ...interleave.py's options
    name=$1 goal=$2 count=$3 what=$4
    shift 4
    python3 bench/interleave.py --row "$name" --goal "$goal" --count "$count" --rounds "$rounds" --what "$what" \
        --out "$results" "$@" || { failed=1; return; }
    measured=1
}

ours() { # PROGRAM: is it built?
    [ -x "$build/$1" ] && return 0
    lack "$name" "$build/$1 is not built (make build)"
    return 1
}

if [ $list = 0 ]; then
    peer_python=$(bench/peers/setup.sh) || exit 77
    mkdir -p "$models" || exit 1
fi
peers=bench/peers

model() { # NAME: exports the float model when it is not there
    [ -f "$models/$1.onnx" ] || "$peer_python" $peers/make_models.py "$models" "$1" >&2 ||
        { lack "$name" "cannot export $1"; return 1; }
}

once() { # OUTPUT COMMAND...: a quantizer run once to have its result
    file=$1
    shift
    [ -f "$file" ] && return 0
    echo "writing $file" >&2
    printf 'run 1\nquit\n' | "$@" --out "$file.partial" >&2 && mv "$file.partial" "$file" && return 0
    rm -f "$file.partial"
    return 1
}

# Training step, batch 128, f32.
for t in 1 2; do
    for spec in resnet20:1.3:3 lenet5:1.8:10 mlp:1.15:50; do
        net=${spec%%:*} rest=${spec#*:}
        goal=${rest%%:*} count=${rest#*:}
        name=train_${net}_t$t
        wanted "$name" || continue
        ours bench_train || continue
        # both layouts of torch: the faster one counts
        args="--net $net --batch 128 --threads $t"
        if [ "$net" = mlp ]; then
            row "$name" "$goal" "$count" "training step, $net, batch 128, $t thread(s)" \
                --ours "$build/bench_train $args" --peer "torch:$peer_python $peers/train_step.py $args"
        else
            row "$name" "$goal" "$count" "training step, $net, batch 128, $t thread(s)" \
                --ours "$build/bench_train $args" \
                --peer "channels_last:$peer_python $peers/train_step.py $args --channels-last" \
                --peer "contiguous:$peer_python $peers/train_step.py $args"
        fi
    done
done

# Inference, batch 1, one thread, f32.
for net in resnet18 resnet50; do
    name=infer_${net}_f32
    wanted "$name" || continue
    ours bench_infer && model $net || continue
    row "$name" 1.0 10 "inference, $net f32, batch 1, 1 thread" \
        --ours "$build/bench_infer $models/$net.onnx --threads 1" \
        --peer "onnxruntime:$peer_python $peers/infer_ort.py $models/$net.onnx --threads 1"
done

# The INT8 rows need the three quantizers' results.
int8_models() {
    model resnet50 || return 1
    once "$models/resnet50_ort.onnx" "$peer_python" $peers/quantize_ort.py "$models/resnet50.onnx" --images 100 ||
        { lack "$name" "onnxruntime could not quantize resnet50"; return 1; }
    once "$models/resnet50_nncf.onnx" "$peer_python" $peers/quantize_nncf.py "$models/resnet50.onnx" --images 100 ||
        echo "$name: no NNCF model, only onnxruntime's is measured" >&2
    ours bench_quantize || return 1
    # always by the build under test, once in this call of the script
    [ -n "${fresh:-}" ] || rm -f "$models/resnet50_skive.onnx"
    fresh=1
    once "$models/resnet50_skive.onnx" "$build/bench_quantize" "$models/resnet50.onnx" --images 100 --threads 2 ||
        { lack "$name" "skive could not quantize resnet50"; return 1; }
}

name=infer_resnet50_int8
if wanted $name && ours bench_infer && int8_models; then
    set -- --ours "$build/bench_infer $models/resnet50_skive.onnx --threads 1" \
        --peer "ort-quantized:$peer_python $peers/infer_ort.py $models/resnet50_ort.onnx --threads 1"
    [ -f "$models/resnet50_nncf.onnx" ] && set -- "$@" \
        --peer "nncf-quantized:$peer_python $peers/infer_ort.py $models/resnet50_nncf.onnx --threads 1"
    row $name 1.15 10 "inference, resnet50 INT8, batch 1, 1 thread" "$@"
fi

# Static quantization, two threads, min-max (each side on the same number of random images).
name=quantize_resnet50
if wanted $name && ours bench_quantize && model resnet50; then
    q="--images 100 --threads 2"
    set -- --ours "$build/bench_quantize $models/resnet50.onnx --out $models/q_skive.onnx --method minmax $q" \
        --peer "onnxruntime:$peer_python $peers/quantize_ort.py $models/resnet50.onnx --out $models/q_ort.onnx $q"
    "$peer_python" -c 'import nncf' 2>/dev/null && set -- "$@" \
        --peer "nncf:$peer_python $peers/quantize_nncf.py $models/resnet50.onnx --out $models/q_nncf.onnx $q"
    # wall <= 0.6 of onnxruntime's is a ratio of 1.67; the units are seconds long, one a round will do
    row $name 1.67 1 "static quantization, resnet50, 100 images, min-max, 2 threads" --warmup 1 "$@"
fi

# Every other calibrator within 1.3x of skive's own min-max.
for method in percentile mse entropy; do
    name=calibrate_$method
    wanted "$name" || continue
    ours bench_quantize && model resnet50 || continue
    q="--images 100 --threads 2"
    row "$name" 0.77 1 "static quantization, $method against skive's own min-max" --warmup 1 \
        --ours "$build/bench_quantize $models/resnet50.onnx --out $models/q_$method.onnx --method $method $q" \
        --peer "min-max:$build/bench_quantize $models/resnet50.onnx --out $models/q_skive.onnx --method minmax $q"
done

# One pruned layer against the same one dense, by whatever kernel the planner takes for it.
for spec in 'conv_1x1_80:1.8:conv 1,256,256,14,1 --zeros 80' 'conv_1x1_90:3.5:conv 1,256,256,14,1 --zeros 90' \
    'conv_1x1_95:7.0:conv 1,256,256,14,1 --zeros 95' 'conv_1x1_blocks_80:3.0:conv 1,256,256,14,1 --blocks --zeros 80' \
    'conv_3x3_95:2.0:conv 1,256,256,14,3 --zeros 95' 'gemm_b1_95:1.5:gemm 1,784,300 --zeros 95' \
    'gemm_b128_90:3.5:gemm 128,784,300 --zeros 90'; do
    name=sparse_${spec%%:*} rest=${spec#*:}
    goal=${rest%%:*} layer=${rest#*:}
    wanted "$name" || continue
    ours bench_sparse || continue
    row "$name" "$goal" 200 "sparse layer, $layer %, 1 thread" \
        --ours "$build/bench_sparse $layer --threads 1" --peer "dense:$build/bench_sparse ${layer% *-zeros*} --threads 1"
done

# The same in integers, against the own dense integer kernel.
for spec in 'conv_1x1_75:1.3:conv 1,256,256,14,1 --int8 --blocks --zeros 75' 'conv_1x1_90:2.0:conv 1,256,256,14,1 --int8 --blocks --zeros 90' \
    'conv_1x1_95:4.0:conv 1,256,256,14,1 --int8 --blocks --zeros 95' 'conv_3x3_75:1.3:conv 1,128,128,28,3 --int8 --blocks --zeros 75' \
    'conv_3x3_90:2.0:conv 1,128,128,28,3 --int8 --blocks --zeros 90' 'gemm_b128_90:2.0:gemm 128,784,300 --int8 --blocks --zeros 90' \
    'conv_1x1_nm_1_4:1.3:conv 1,256,256,14,1 --int8 --nm 1' 'conv_3x3_nm_1_4:1.3:conv 1,128,128,28,3 --int8 --nm 1' \
    'gemm_b128_nm_1_4:1.3:gemm 128,784,300 --int8 --nm 1' 'conv_3x3_nm_2_4:1.0:conv 1,128,128,28,3 --int8 --nm 2'; do
    name=sparse_int8_${spec%%:*} rest=${spec#*:}
    goal=${rest%%:*} layer=${rest#*:}
    wanted "$name" || continue
    ours bench_sparse || continue
    row "$name" "$goal" 200 "sparse integer layer, $layer %, 1 thread" \
        --ours "$build/bench_sparse $layer --threads 1" --peer "dense:$build/bench_sparse ${layer% --int8*} --int8 --threads 1"
done

# One layer with a weight of 16 values, left as symbols and their table, against the same one dense: no slower is the goal.
for spec in 'gemm_b1_4096:20:gemm 1,4096,4096' 'gemm_b1_784x300:200:gemm 1,784,300' 'conv_1x1:200:conv 1,256,256,14,1'; do
    name=codebook_${spec%%:*} rest=${spec#*:}
    count=${rest%%:*} layer=${rest#*:}
    wanted "$name" || continue
    ours bench_sparse || continue
    row "$name" 1.0 "$count" "codebook layer, $layer, 16 entries, 1 thread" \
        --ours "$build/bench_sparse $layer --codebook 4 --threads 1" --peer "dense:$build/bench_sparse $layer --threads 1"
done

# One layer with weights of few bits against the same one with int8, by the integer kernels.
for spec in 'w4_gemm_b1:1.5:20:gemm 1,4096,4096 --weights int4' 'w2_gemm_b1:1.5:20:gemm 1,4096,4096 --weights int2' \
    'binary_gemm_b1:1.5:20:gemm 1,4096,4096 --weights binary' \
    'xnor_conv_3x3:2.0:20:conv 1,256,256,14,3 --weights binary --input binary'; do
    name=bits_${spec%%:*} rest=${spec#*:}
    goal=${rest%%:*} rest=${rest#*:}
    count=${rest%%:*} layer=${rest#*:}
    wanted "$name" || continue
    ours bench_bits || continue
    row "$name" "$goal" "$count" "few bits, $layer, 1 thread" \
        --ours "$build/bench_bits $layer --threads 1" \
        --peer "int8:$build/bench_bits ${layer%% --*} --weights int8 --threads 1"
done

# A product of float32 with weights of 4 bits in blocks of 32 (Transformers), against float32 weights, and with few rows.
for spec in 'b1:1.0:20:1,4096,4096' 'b4:1.0:5:4,4096,4096' 'b128:1.0:1:128,4096,4096'; do
    name=packed_gemm_${spec%%:*} rest=${spec#*:}
    goal=${rest%%:*} rest=${rest#*:}
    count=${rest%%:*} layer="gemm ${rest#*:} --input f32"
    wanted "$name" || continue
    ours bench_bits || continue
    row "$name" "$goal" "$count" "weights of 4 bits in blocks of 32, $layer, 1 thread" \
        --ours "$build/bench_bits $layer --group 32 --threads 1" --peer "f32:$build/bench_bits $layer --threads 1"
done

# Weight sharing: k-means of a million weights, sort and indices included, on one core.
for bits in 4 8; do
    name=share_1m_${bits}bit
    wanted $name && ours bench_share || continue
    k="--weights 1000000 --bits $bits --threads 1"
    set -- --ours "$build/bench_share $k" --peer "sums:$peer_python $peers/kmeans_numpy.py $k"
    # minutes a run at 8 bits
    [ $bits = 4 ] && "$peer_python" -c 'import sklearn' 2>/dev/null && set -- "$@" \
        --peer "KMeans:$peer_python $peers/kmeans_numpy.py $k --sklearn"
    row $name 1.0 1 "k-means, 1,000,000 weights, $bits bits, 1 thread" --warmup 1 "$@"
done

# Singular values by random projection.
name=svd_random_4096
if wanted $name && ours bench_svd; then
    row $name 1.0 1 "4096 x 4096 to rank 256 by random projection, 1 thread" --warmup 1 \
        --ours "$build/bench_svd --threads 1" --peer "numpy:$peer_python $peers/svd_numpy.py"
fi

# Reading packed weights: 4 million, 98 % zeros, 31 other values; the goal is 20 million weights a second.
for coder in context huffman rans; do
    name=pack_read_$coder
    wanted $name && ours bench_pack || continue
    row $name 1.0 3 "reading 4,194,304 packed weights, 98 % zeros, coder $coder, 1 thread" \
        --ours "$build/bench_pack --coder $coder" --peer "pace:$build/bench_pack --pace 20"
done

# From file to ready plan.
name=session_resnet50_f32
if wanted $name && ours bench_session && model resnet50; then
    row $name 1.0 3 "file to ready plan, resnet50 f32" \
        --ours "$build/bench_session $models/resnet50.onnx --threads 1" \
        --peer "onnxruntime:$peer_python $peers/session_ort.py $models/resnet50.onnx --threads 1"
fi
name=session_resnet50_int8
if wanted $name && ours bench_session && int8_models; then
    row $name 1.0 3 "file to ready plan, resnet50 INT8" \
        --ours "$build/bench_session $models/resnet50_skive.onnx --threads 1" \
        --peer "onnxruntime:$peer_python $peers/session_ort.py $models/resnet50_ort.onnx --threads 1"
fi

# From process start to the first answer.
name=first_answer_resnet50
if wanted $name && ours bench_session && model resnet50; then
    row $name 2.0 1 "process start to first answer, resnet50 f32" --whole --warmup 1 \
        --ours "$build/bench_session $models/resnet50.onnx --threads 1 --first-answer" \
        --peer "onnxruntime:$peer_python $peers/first_answer_ort.py $models/resnet50.onnx --threads 1"
fi

# The time per node of long models against that of short ones.
for thousands in 100 1000; do
    name=nodes_${thousands}k
    wanted "$name" || continue
    ours bench_nodes || continue
    row "$name" 0.33 1 "${thousands},000 nodes parsed, simplified, planned: time of each 10,000" \
        --ours "$build/bench_nodes --nodes ${thousands}000" --peer "10,000 nodes:$build/bench_nodes --nodes 10000"
done

# Other people's models, batch 1, one and two threads (not a part of the project: SKIVE_BENCH_OTHERS, default ../shared/models).
others=${SKIVE_BENCH_OTHERS:-../shared/models}
for file in "$others"/*.onnx "$others"/*/*.onnx; do
    [ -f "$file" ] || continue
    base=$(basename "$file" .onnx)
    for t in 1 2; do
        name=model_${base}_t$t
        wanted "$name" || continue
        ours bench_infer || continue
        inputs=$("$peer_python" $peers/make_inputs.py "$file" "$models/inputs") || { lack "$name" "cannot make inputs"; continue; }
        row "$name" 0.8 100 "inference, $base, batch 1, $t thread(s)" \
            --ours "$build/bench_infer $file --threads $t $inputs" \
            --peer "onnxruntime:$peer_python $peers/infer_ort.py $file --threads $t $inputs"
    done
done

# The same by the plain C that unknown machines get, against AVX2 on this one: at most six times as slow is the goal.
for file in "$others"/*.onnx "$others"/*/*.onnx; do
    [ -f "$file" ] || continue
    base=$(basename "$file" .onnx)
    name=plain_${base}
    wanted "$name" || continue
    ours bench_infer || continue
    inputs=$("$peer_python" $peers/make_inputs.py "$file" "$models/inputs") || { lack "$name" "cannot make inputs"; continue; }
    run="$build/bench_infer $file --threads 1 $inputs"
    row "$name" 0.167 50 "inference, $base, batch 1, 1 thread, plain C" \
        --ours "env SKIVE_ISA=scalar $run" --peer "avx2:env SKIVE_ISA=avx2 $run"
done

[ $list = 1 ] && exit 0
[ $measured = 1 ] && { python3 bench/interleave.py --table "$results" || failed=1; }
exit $failed
