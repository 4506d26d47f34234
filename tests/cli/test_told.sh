#!/bin/bash
# What is told is told in whole characters, in its order, of all parts of the data, and before the training.
. "$(dirname "$0")/common.sh"
make_data
expect 0 '' "$skive" train mlp:8 --data $data --batch 32 --epochs 1 -q -o m.onnx
# Names of classes are cut between characters.
printf 'x,y,label\n' >names.csv
for i in 1 2 3 4 5 6 7 8 9; do printf '%s,1,\303\244\303\266\303\274\303\244\303\266\303\274\303\244\303\266\303\274\303\244\303\266\303\274 eins\n%s,-1,zwei\n' "$i" "-$i" >>names.csv; done
expect 0 '' "$skive" train mlp:4 --data csv:names.csv,label=label --epochs 1 -q -o n.onnx
expect 0 'true' "$skive" eval n.onnx --data csv:names.csv,label=label --split train-full
checks=$((checks + 1))
if ! iconv -f UTF-8 -t UTF-8 out.txt >/dev/null 2>&1; then
    echo "FAIL: not UTF-8:"
    cat out.txt
    failures=$((failures + 1))
fi
# Notes of what led to an error stand before it.
mkdir -p texts/a texts/b
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    echo "good fine nice $i" >texts/a/$i.txt
    echo "bad poor ugly $i no" >texts/b/$i.txt
done
expect 9 'text:...,input=NAME, mask=NAME' "$skive" train transformer --data text:texts,mask=m --epochs 1 -o x.onnx
checks=$((checks + 1))
if [ "$(grep -nE '^note' err.txt | tail -n 1 | cut -d: -f1)" -ge "$(grep -nE '^skive' err.txt | cut -d: -f1)" ]; then
    echo "FAIL: a note after the error:"
    cat err.txt
    failures=$((failures + 1))
fi
# A length of 0 is the model's own.
expect 0 '' "$skive" train lstm:8 --data text:texts,length=0 --epochs 1 -q -o t.onnx
# All inputs and targets.
expect 0 '^train, input tokens' "$skive" data text:texts,input=tokens,mask=m
expect 0 '^input m: \[5\] of int32' "$skive" data text:texts,input=tokens,mask=m -q
expect 0 '"name": "m"' "$skive" data text:texts,input=tokens,mask=m -q --json
# A file of test samples is looked at before the training.
expect 4 'missing.csv: cannot open' "$skive" train mlp:4 --data csv:names.csv,label=label,test=missing.csv -o x.onnx
printf 'x,z,label\n1,2,zwei\n' >other.csv
expect 9 "other.csv: has no column 'y'" "$skive" train mlp:4 --data csv:names.csv,label=label,test=other.csv -o x.onnx
# Large figures keep their columns.
printf 'x,y\n' >large.csv
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "$i,${i}00000000000" >>large.csv; done
expect 0 '' "$skive" train mlp:4 --data csv:large.csv,label=y --raw-targets --lr 1e-12 --epochs 1 -q -o l.onnx
expect 0 'RMSE +[0-9.]+e\+[0-9]+' "$skive" eval l.onnx --data csv:large.csv,label=y --split train-full
expect 0 'log loss|R2' "$skive" eval l.onnx --data csv:large.csv,label=y --split train-full
# Pruning: no note on zeros that the pruning itself has made; what was excluded stands in the way.
expect 0 '' "$skive" prune m.onnx -s 0.6 --finetune 1 --data $data -o p.onnx
checks=$((checks + 1))
if grep -q 'does not record that they were pruned' err.txt; then
    echo "FAIL: a note on zeros of this pruning"
    failures=$((failures + 1))
fi
expect 11 "'fc1.weight' \(it is excluded by --skip\)" "$skive" prune m.onnx --structured --macs 0.01 --skip fc1.weight -o x.onnx
expect 0 'multiply-accumulates' "$skive" prune m.onnx --structured --macs 0.5 --shape input=1,1,8,8 -o s.onnx
expect 2 'are for the costs of channels' "$skive" prune m.onnx -s 0.5 --shape input=1,1,8,8 -o x.onnx
expect 13 "has no input 'z'" "$skive" prune m.onnx --structured --macs 0.5 --shape z=1 -o x.onnx
absent x.onnx
no_leftovers
finish
