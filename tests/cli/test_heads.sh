#!/usr/bin/env bash
# What a model's output means, which one is used, and the figures of eval and compare for classes, labels and numbers.
. "$(dirname "$0")/common.sh"
perl "$here/heads.pl" || exit 1
classes=npy:x.npy,classes.npy,x.npy,classes.npy
numbers=npy:x.npy,numbers.npy
labels=npy:x.npy,labels.npy

# The number after a key of a JSON report, the n-th of that name.
number() {
    sed -nE "s/.*\"$1\": (-?[0-9.e+-]+),?$/\1/p" "$2" | sed -n "${3:-1}p"
}
# near A B TOLERANCE
near() {
    checks=$((checks + 1))
    if ! awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d <= t && -d <= t) }'; then
        echo "FAIL: $1 is not within $3 of $2"
        failures=$((failures + 1))
    fi
}
silent_about() {
    checks=$((checks + 1))
    if cat out.txt err.txt | grep -qE -- "$1"; then
        echo "FAIL: says /$1/:"
        cat out.txt err.txt
        failures=$((failures + 1))
    fi
}

# The same network with and without Softmax has one cross-entropy, and the output is named.
expect 0 'cross-entropy' "$skive" eval plain.onnx -d $classes
silent_about 'top-5'
"$skive" eval plain.onnx -d $classes --json >plain.json 2>/dev/null
expect 0 "output +'p': probabilities \(from Softmax\)" "$skive" eval soft.onnx -d $classes
"$skive" eval soft.onnx -d $classes --json >soft.json 2>/dev/null
near "$(number cross_entropy soft.json)" "$(number cross_entropy plain.json)" 1e-5
"$skive" eval soft.onnx -d $classes --output-kind logits --json >twice.json 2>/dev/null
checks=$((checks + 1))
[ "$(number cross_entropy twice.json)" != "$(number cross_entropy plain.json)" ] || failures=$((failures + 1))
expect 13 'there are logits, probabilities' "$skive" eval soft.onnx -d $classes --output-kind odds
expect 0 'output is .p., probabilities' "$skive" train soft.onnx -d $classes -e 1 -o trained.onnx
expect 0 '"Softmax"|Softmax' "$skive" inspect trained.onnx
expect 0 'teacher.s output is .p., probabilities' "$skive" distill --teacher soft.onnx --student mlp:8 -d $classes -e 1 -o taught.onnx

# Several outputs: the one that fits, told; or asked for.
expect 0 "output +'z': logits, one of 2 outputs" "$skive" eval two.onnx -d $classes
"$skive" eval two.onnx -d $classes --json >two.json 2>/dev/null
near "$(number accuracy two.json)" "$(number accuracy plain.json)" 0
expect 0 "2 outputs, 'z'" "$skive" train two.onnx -d $classes -e 1 -o trained.onnx
expect 0 "return embedding, z" "$skive" inspect --graph trained.onnx
for command in "eval -b 50" "train -e 1 -o never.onnx" "prune --finetune 1 -o never.onnx" "share --finetune 1 -o never.onnx"; do
    expect 9 "several fit the 3 classes.*--use-output.*'z'.*'other'" "$skive" ${command%% *} rivals.onnx -d $classes ${command#* }
done 2>/dev/null
absent never.onnx
expect 0 "output +'other'" "$skive" eval rivals.onnx -d $classes --use-output other
expect 13 "no output 'z2'; it has 'z'" "$skive" eval rivals.onnx -d $classes --use-output z2
expect 0 'compared|against' "$skive" compare rivals.onnx plain.onnx -d $classes --use-output other --seconds 0.01
expect 0 'wrote kept.onnx' "$skive" train rivals.onnx -d $classes -e 1 --use-output other -o kept.onnx
expect 0 "output +'other'" "$skive" eval kept.onnx -d $classes

# compare: differences of models of a fixed batch are measured; a missing file is found before anything runs; no test part is told.
expect 0 'takes 4 samples per run' "$skive" compare four.onnx four_else.onnx -d $classes --seconds 0.01
"$skive" compare four.onnx four_else.onnx -d $classes --seconds 0.01 --json >four.json 2>/dev/null
checks=$((checks + 1))
awk -v d="$(number mean_score_difference four.json)" 'BEGIN { exit !(d > 0.01) }' || { echo "FAIL: no difference measured"; failures=$((failures + 1)); }
expect 0 'output differences are left out: the first gives 3 logits' "$skive" compare plain.onnx soft.onnx -d $classes --seconds 0.01
expect 4 'nowhere.onnx' "$skive" compare plain.onnx nowhere.onnx -d $classes --seconds 30
silent_about 'evaluate|bench'
expect 0 'no separate test samples' "$skive" compare plain.onnx plain.onnx -d npy:x.npy,classes.npy --seconds 0.01
expect 0 'energy \(estimate\)' "$skive" compare plain.onnx soft.onnx -d $classes --seconds 0.01
expect 0 '"energy_estimate"' "$skive" compare plain.onnx soft.onnx -d $classes --seconds 0.01 --json

# Ratios are of the weights, whatever else a file holds.
for command in "quantize -d $classes" "prune -s 0.5" "share --bits 4"; do
    expect 0 'wrote small.onnx: weights .* \([0-4]\.[0-9]+x\); file .*, was 4[0-9]\.' "$skive" ${command%% *} notes.onnx ${command#* } -o small.onnx
done
expect 0 '"weight_bytes_before": 60' "$skive" prune notes.onnx -s 0.5 -o small.onnx --json

# Numbers: learned in their own units, measured, compared, kept by the best epoch.
expect 0 'validation RMSE' "$skive" train mlp:16 -d $numbers -e 8 --batch 20 -o numbers.onnx
expect 0 'R2 +0\.[89]' "$skive" eval numbers.onnx -d $numbers
expect 0 'RMSE +MAE +R2' "$skive" compare numbers.onnx numbers.onnx -d $numbers --seconds 0.01
expect 0 'validation RMSE' "$skive" distill --teacher numbers.onnx --student mlp:8 -d $numbers -e 2 -o taught.onnx
expect 0 'validation RMSE' "$skive" prune numbers.onnx -d $numbers -s 0.5 --finetune 1 -o small.onnx
expect 0 'validation RMSE' "$skive" share numbers.onnx -d $numbers --bits 4 --finetune 1 -o small.onnx
expect 0 'wrote small.onnx' "$skive" quantize numbers.onnx -d $numbers -o small.onnx
expect 9 'has class labels' "$skive" eval numbers.onnx -d $classes
# Labels.
expect 0 'validation loss' "$skive" train mlp:16 -d $labels -e 8 --batch 20 -o labels.onnx
expect 0 'F1 micro +0\.[89]' "$skive" eval labels.onnx -d $labels
expect 0 'F1 micro +mAP' "$skive" compare labels.onnx labels.onnx -d $labels --seconds 0.01
no_leftovers
finish
