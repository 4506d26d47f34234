#!/usr/bin/env bash
# The main job on real data: a teacher is trained on Fashion-MNIST, distilled into a smaller student, the student is pruned
# and quantized, the pruned one's weights share values and are packed, and all are measured side by side.
# Usage: demo.sh [--full] SKIVE [FOLDER]     --full: a larger teacher and more epochs, about ten minutes instead of four
set -euo pipefail
if [ "${1:-}" = --full ]; then
    shift
    teacher=vgg-small epochs=9 student_epochs=10 prune_epochs=5 out=demo-full-out
else
    teacher=vgg-small:0.5 epochs=6 student_epochs=10 prune_epochs=5 out=demo-out
fi
skive=$1
out=${2:-$out}
data=fashion-mnist
mkdir -p "$out"
started=$SECONDS
step() { printf '\n== %s  (%d s so far)\n' "$*" $((SECONDS - started)); }

step "1/7  teacher: $teacher"
"$skive" train $teacher --data $data --epochs $epochs --lr 0.05 --augment crop:2,flip -o "$out/teacher.onnx"

step "2/7  student: lenet5 at half width, distilled from the teacher"
"$skive" distill --teacher "$out/teacher.onnx" --student lenet5:0.5 --data $data --epochs $student_epochs \
    -T 4 --alpha 0.7 -o "$out/student.onnx"

step "3/7  pruned: 90 % of the student's weights set to zero"
"$skive" prune "$out/student.onnx" --data $data --sparsity 0.9 --finetune $prune_epochs --lr 0.02 -o "$out/pruned.onnx"

step "4/7  INT8: the student quantized"
"$skive" quantize "$out/student.onnx" --data $data -o "$out/int8.onnx"

step "5/7  packed: the pruned student's weights share 16 values a layer, in one small file"
"$skive" share "$out/pruned.onnx" --bits 4 --data $data --finetune 2 -o "$out/shared.onnx"
"$skive" pack "$out/shared.onnx" --biases int8 -o "$out/packed.skv"

step "6/7  layers of the INT8 model"
"$skive" inspect "$out/int8.onnx"

step "7/7  all of them on the 10,000 test images"
"$skive" compare "$out/teacher.onnx" "$out/student.onnx" "$out/pruned.onnx" "$out/int8.onnx" "$out/packed.skv" \
    --names teacher,student,pruned,INT8,packed --data $data --report "$out/demo.json"
printf '\nThe models and demo.json are in %s/. The whole took %d s.\n' "$out" $((SECONDS - started))
