#!/bin/sh
# Times models and single operators in skive and onnxruntime and writes docs/results/sweep.md (bench/sweep/sweep.py says
# how to read it).
#   bench/sweep/sweep.sh [FILE_OR_FOLDER ...]   default: the models of other people, built-in networks, some that
#                                               bench/sweep/nets.py writes, and with the peers of bench/run.sh those of
#                                               torch_nets.py; INT8 versions of both quantizers
# Environment: BUILD (build directory with bench_infer, default build), SWEEP_MODELS (where models are put, default
# ${XDG_CACHE_HOME:-~/.cache}/skive/sweep), SKIVE_BENCH_OTHERS (default ../shared/models), SKIVE_PYTHON (a Python with
# onnx and onnxruntime; default the one of tests/oracle/setup.sh), THREADS (1), ROUNDS (7), BATCH (1,8),
# TURN (0.1), GRID (yes; no: the models alone, and the operators' table stays), WRITE (docs/results/sweep.md, of which
# the section of this machine is made anew).
# Exit status: 0 measured, 1 nothing was, 77 no onnxruntime.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
build=${BUILD:-build}
models=${SWEEP_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/sweep}
others=${SKIVE_BENCH_OTHERS:-../shared/models}
python=${SKIVE_PYTHON:-$(tests/oracle/setup.sh | tail -n 1)}
[ -n "$python" ] && "$python" -c 'import onnx, onnxruntime' 2>/dev/null || exit 77
for program in bench_infer bench_session skive; do
    [ -x "$build/$program" ] || { echo "$build/$program is not built (cmake -DSKIVE_BENCH=ON)" >&2; exit 1; }
done

if [ $# -eq 0 ]; then
    mkdir -p "$models" || exit 1
    for net in resnet18 resnet50 squeezenet mobilenet mobilenetv2 mobilenetv3-small efficientnet-b0 densenet vit \
        transformer lstm gru crnn ds-cnn; do
        [ -f "$models/$net.onnx" ] || "$build/skive" zoo "$net" -q -o "$models/$net.onnx" >/dev/null || exit 1
    done
    "$python" bench/sweep/nets.py "$models" || exit 1
    # Networks of torchvision where the peers of bench/run.sh are installed: their PyTorch is several GB.
    peers=${SKIVE_PEERS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/peers}/bin/python
    if "$peers" -c 'import torchvision, onnxscript' 2>/dev/null; then
        "$peers" bench/sweep/torch_nets.py "$models" || exit 1
    else
        echo "no networks of torchvision: bench/peers/setup.sh installs what makes them" >&2
    fi
    for net in resnet18 resnet50 mobilenetv2 unet-small kws-conv1d tv-mobilenet_v3_small tv-efficientnet_b0 \
        tv-regnet_y_400mf tv-shufflenet_v2_x1_0 tv-squeezenet1_1 tv-mnasnet1_0 tv-ssd-mobilenetv2 tv-yolo-like; do
        [ ! -f "$models/$net.onnx" ] ||
            "$python" bench/sweep/quantize.py "$build/skive" "$models" $net || exit 1
    done
    set -- "$models"
    [ -d "$others" ] && set -- "$models" "$others"
fi
grid=--grid
[ "${GRID:-yes}" = no ] && grid=
exec "$python" bench/sweep/sweep.py $grid --build "$build" --threads "${THREADS:-1}" --rounds "${ROUNDS:-7}" \
    --turn "${TURN:-0.1}" --batch "${BATCH:-1,8}" --write "${WRITE:-docs/results/sweep.md}" "$@"
