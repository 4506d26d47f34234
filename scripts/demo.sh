#!/usr/bin/env bash
# The main job on real data: a teacher is trained on Fashion-MNIST, distilled into a smaller student, the student is pruned
# and quantized, and all four are measured side by side. Usage: demo.sh SKIVE [FOLDER]
set -euo pipefail
skive=$1
out=${2:-demo-out}
data=fashion-mnist
mkdir -p "$out"
started=$SECONDS
step() { printf '\n== %s  (%d s so far)\n' "$*" $((SECONDS - started)); }

step "1/6  teacher: vgg-small"
"$skive" train vgg-small --data $data --epochs "${DEMO_TEACHER_EPOCHS:-9}" --lr 0.05 --augment crop:2,flip -o "$out/teacher.onnx"

step "2/6  student: lenet5 at half width, distilled from the teacher"
"$skive" distill --teacher "$out/teacher.onnx" --student lenet5:0.5 --data $data --epochs "${DEMO_STUDENT_EPOCHS:-10}" \
    -T 4 --alpha 0.7 -o "$out/student.onnx"

step "3/6  pruned: 90 % of the student's weights set to zero"
"$skive" prune "$out/student.onnx" --data $data --sparsity 0.9 --finetune "${DEMO_PRUNE_EPOCHS:-5}" --lr 0.02 -o "$out/pruned.onnx"

step "4/6  INT8: the student quantized"
"$skive" quantize "$out/student.onnx" --data $data --calibration entropy -o "$out/int8.onnx"

step "5/6  layers of the INT8 model"
"$skive" inspect "$out/int8.onnx"

step "6/6  all four on the 10,000 test images"
"$skive" compare "$out/teacher.onnx" "$out/student.onnx" "$out/pruned.onnx" "$out/int8.onnx" \
    --names teacher,student,pruned,INT8 --data $data --report "$out/demo.json"
printf '\nThe models and demo.json are in %s/. The whole took %d s.\n' "$out" $((SECONDS - started))
