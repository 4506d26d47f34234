#!/usr/bin/env bash
# Distillation on real data, in small settings that fit a busy machine; writes docs/results/distillation.md.
# Usage: proof_distill.sh SKIVE [FOLDER of MNIST's IDX files]; SAMPLES, EPOCHS and TEACHER_EPOCHS make the second part larger.
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "${1:-build/skive}")
mnist=mnist:${2:-${MNIST:-/usr/share/mnist}}
work=${WORK:-build/proof-distill}
mlp_samples=${MLP_SAMPLES:-20000} mlp_epochs=${MLP_EPOCHS:-6}
samples=${SAMPLES:-4000} epochs=${EPOCHS:-4} teacher_epochs=${TEACHER_EPOCHS:-4} teacher_samples=${TEACHER_SAMPLES:-10000}
page=docs/results/distillation.md
mkdir -p "$work"

# made FILE COMMAND...: runs the command unless its result is there.
made() { [ -s "$1" ] || { echo "$(date +%T) ${*:2}"; "${@:2}" -q >/dev/null; }; }
field() { python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
errors() { "$skive" eval "$1" --data "$2" --json -q | field 'round((1 - d["accuracy"]) * 10000)'; }
# versus BASE FILE DATA: difference of the accuracies in points, with its paired 95 % interval.
versus() {
    "$skive" compare "$1" "$2" --data "$3" --seconds 0.01 --resamples 0 --json -q |
        field '"{:+.2f} ({:+.2f} to {:+.2f})".format(*[100 * d["models"][1]["to_first"][k] for k in ("difference", "low", "high")])'
}

# ---- a multilayer perceptron from a convolutional teacher, MNIST ----
made "$work/conv.onnx" "$skive" train lenet5 --data "$mnist" --limit "$mlp_samples" --epochs 6 --augment crop:2 --lr 0.01 -o "$work/conv.onnx"
common=(--data "$mnist" --limit "$mlp_samples" --epochs "$mlp_epochs" --lr 0.02)
made "$work/mlp-plain.onnx" "$skive" train mlp:800,800 "${common[@]}" -o "$work/mlp-plain.onnx"
made "$work/mlp-kd.onnx" "$skive" distill --teacher "$work/conv.onnx" --student mlp:800,800 "${common[@]}" -T 8 --alpha 0.9 -o "$work/mlp-kd.onnx"

# ---- ResNet-8 from ResNet-20, Fashion-MNIST ----
fashion="fashion-mnist"
made "$work/r20.onnx" "$skive" train resnet20 --data $fashion --limit "$teacher_samples" --epochs "$teacher_epochs" --lr 0.1 -b 64 -o "$work/r20.onnx"
common=(--data "$fashion" --limit "$samples" --epochs "$epochs" --lr 0.05 -b 64)
made "$work/r8-plain.onnx" "$skive" train resnet8 "${common[@]}" -o "$work/r8-plain.onnx"
taught() { made "$work/r8-$1.onnx" "$skive" distill --teacher "$work/r20.onnx" --student resnet8 "${common[@]}" "${@:2}" -o "$work/r8-$1.onnx"; }
taught kd -T 4 --alpha 0.7
taught at --alpha 0 --term attention
taught hint --alpha 0 --term hint
taught sp --alpha 0 --term similarity
taught crd --alpha 0 --term contrastive
taught crd-kd -T 4 --alpha 0.7 --term contrastive

taught nce-kd -T 4 --alpha 0.7 --term contrastive:negatives=0
made "$work/r20b.onnx" "$skive" train resnet20 --data $fashion --limit "$teacher_samples" --epochs "$teacher_epochs" --lr 0.1 -b 64 --seed 2 -o "$work/r20b.onnx"
taught two -T 4 --alpha 0.7 --teacher "$work/r20b.onnx"

# ---- one network by itself, two together ----
made "$work/r8-self.onnx" "$skive" distill --self 2 --student resnet8 "${common[@]}" -o "$work/r8-self.onnx"
made "$work/r8-mutual.onnx" "$skive" distill --mutual 2 --student resnet8 "${common[@]}" -o "$work/r8-mutual.onnx"
[ -s "$work/r8-exits.onnx" ] || "$skive" distill --exits auto --student resnet8 "${common[@]}" -o "$work/r8-exits.onnx" --json -q >"$work/exits.json"

# ---- few labels, Fashion-MNIST, LeNet-5 ----
few=(--student lenet5 --data "$fashion" --lr 0.005 -b 64 --limit 500)
made "$work/few-plain.onnx" "$skive" train lenet5 --data "$fashion" --lr 0.005 -b 64 --limit 500 --epochs 40 -o "$work/few-plain.onnx"
made "$work/few-kd.onnx" "$skive" distill --teacher "$work/r20.onnx" "${few[@]}" --epochs 40 -o "$work/few-kd.onnx"
made "$work/few-more.onnx" "$skive" distill --teacher "$work/r20.onnx" "${few[@]}" --epochs 1 --unlabelled "$fashion" -o "$work/few-more.onnx"
made "$work/few-all.onnx" "$skive" distill --teacher "$work/r20.onnx" --student lenet5 --data "$fashion" --lr 0.005 -b 64 --epochs 1 -o "$work/few-all.onnx"

row() { printf '| %s | %s | %s |\n' "$1" "$(errors "$2" "$4")" "$([ "$2" = "$3" ] && echo - || versus "$3" "$2" "$4")"; }
{
    echo "# Distillation, measured"
    echo
    echo "Made by \`make proof-distill\` ($("$skive" --version | head -1)). Small settings, which fit a busy machine: one seed, few"
    echo "samples, few epochs. Errors are of the 10,000 test samples. Differences are points of accuracy against the student"
    echo "without a teacher, which is trained on the same samples for as many epochs on hard labels; with their paired 95 %"
    echo "interval. No student sees augmented samples, so that there is no other control."
    echo
    echo "## A multilayer perceptron from a convolutional teacher, MNIST"
    echo
    echo "784-800-800-10, $mlp_samples training samples, $mlp_epochs epochs; the teacher is LeNet-5, 6 epochs with crops (Hinton et al."
    echo "2015 have 146 errors without and 74 with a teacher after long runs on 60,000 samples)."
    echo
    echo "| model | errors | against plain |"
    echo "|---|---|---|"
    row "LeNet-5, the teacher" "$work/conv.onnx" "$work/mlp-plain.onnx" "$mnist"
    row "plain" "$work/mlp-plain.onnx" "$work/mlp-plain.onnx" "$mnist"
    row "soft labels, T 8, alpha 0.9" "$work/mlp-kd.onnx" "$work/mlp-plain.onnx" "$mnist"
    echo
    echo "## ResNet-8 from ResNet-20, Fashion-MNIST"
    echo
    echo "$samples training samples, $epochs epochs, batch 64; the teacher has $teacher_samples samples and $teacher_epochs epochs."
    echo "Terms other than soft labels stand beside the labels alone (alpha 0), with their published weights."
    echo
    echo "| model | errors | against plain |"
    echo "|---|---|---|"
    row "ResNet-20, the teacher" "$work/r20.onnx" "$work/r8-plain.onnx" $fashion
    row "plain" "$work/r8-plain.onnx" "$work/r8-plain.onnx" $fashion
    row "soft labels, T 4, alpha 0.7" "$work/r8-kd.onnx" "$work/r8-plain.onnx" $fashion
    row "attention transfer" "$work/r8-at.onnx" "$work/r8-plain.onnx" $fashion
    row "hint" "$work/r8-hint.onnx" "$work/r8-plain.onnx" $fashion
    row "similarity" "$work/r8-sp.onnx" "$work/r8-plain.onnx" $fashion
    row "contrastive" "$work/r8-crd.onnx" "$work/r8-plain.onnx" $fashion
    row "contrastive and soft labels" "$work/r8-crd-kd.onnx" "$work/r8-plain.onnx" $fashion
    row "contrastive in the batch (negatives=0) and soft labels" "$work/r8-nce-kd.onnx" "$work/r8-plain.onnx" $fashion
    row "soft labels of two ResNet-20, mean" "$work/r8-two.onnx" "$work/r8-plain.onnx" $fashion
    row "born again, best of two generations" "$work/r8-self.onnx" "$work/r8-plain.onnx" $fashion
    row "mutual, the better of two" "$work/r8-mutual.onnx" "$work/r8-plain.onnx" $fashion
    row "early exits, the last one" "$work/r8-exits.onnx" "$work/r8-plain.onnx" $fashion
    echo
    echo "Of the network with early exits (validation samples; the threshold was found on half of them):"
    echo
    field '"{:.1f} % leave early, accuracy {:.2f} % against {:.2f} % of the last exit, {:.2f} times as fast".format(*[100 * d["exits"][k] for k in ("early", "accuracy", "last")], d["exits"]["exits"][-1]["milliseconds"] / d["exits"]["milliseconds"])' <"$work/exits.json"
    echo
    echo "## Few labels, Fashion-MNIST, LeNet-5"
    echo
    echo "500 samples with labels, 40 epochs; or these and the 54,500 others of the training set, without labels or with,"
    echo "one epoch. The teacher is the ResNet-20 above. Differences are to the labels alone."
    echo
    echo "| model | errors | against plain |"
    echo "|---|---|---|"
    row "500 labels" "$work/few-plain.onnx" "$work/few-plain.onnx" $fashion
    row "500 labels, soft labels" "$work/few-kd.onnx" "$work/few-plain.onnx" $fashion
    row "500 labels and 54,500 samples without" "$work/few-more.onnx" "$work/few-plain.onnx" $fashion
    row "55,000 labels, soft labels" "$work/few-all.onnx" "$work/few-plain.onnx" $fashion
    echo
    echo "Not measured: digit 3 left out of the transfer set, the thin deep student, CIFAR-10, and a Transformer of four"
    echo "layers to two. The scenes of [distillation.md](../distillation.md#scenes) have further figures."
} >"$work/page.md"
mv "$work/page.md" "$page"
cat "$page"
