#!/usr/bin/env bash
# Every subcommand on a small real job, from training to comparison.
. "$(dirname "$0")/common.sh"
make_data

expect 0 'wrote teacher.onnx' "$skive" train mlp:32,16 --data $data --epochs 6 --batch 32 -o teacher.onnx
expect 0 'fc1 +Gemm' "$skive" inspect teacher.onnx
expect 0 'graph mlp' "$skive" inspect --graph teacher.onnx
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval teacher.onnx --data $data
expect 0 '"confusion"' "$skive" eval teacher.onnx --data $data --json
expect 0 'wrote student.onnx' "$skive" distill --teacher teacher.onnx --student mlp:8 --data $data -T 4 --alpha 0.7 --epochs 6 --batch 32 -o student.onnx
expect 0 'wrote pruned.onnx' "$skive" prune student.onnx --data $data --sparsity 0.5 --finetune 2 --batch 32 -o pruned.onnx
expect 0 '50\.' "$skive" inspect pruned.onnx

# prune: every way of saying how much goes, every schedule, surgery, the dense model or a larger one as teacher.
for criterion in taylor:4,batch=32 snip fisher:20 wanda entropy:2 apoz:2; do
    expect 0 'all +2,608 +1,304 +50' "$skive" prune teacher.onnx --data $data --criterion $criterion --sparsity 0.5 -o p.onnx
done
expect 0 'all +560 +56 +90' "$skive" prune teacher.onnx --criterion lamp --skip fc1.weight -o p.onnx
expect 0 'fc2 .* 25\.00 %' "$skive" prune teacher.onnx --sparsity 0.5 --layer fc2.weight=0.25 --layer fc3.weight=0.5 -o p.onnx
expect 0 '"threshold": 0.25' "$skive" prune teacher.onnx --threshold 0.25 --json -o p.onnx
expect 0 'kept at its floor' "$skive" prune teacher.onnx --threshold-std 100 -o p.onnx
expect 0 'kept at its floor' "$skive" prune teacher.onnx --threshold 1000 -o p.onnx
expect 0 'all +2,608 +2,608 +0' "$skive" prune teacher.onnx --threshold 0 -o p.onnx
expect 0 'wrote p.onnx' "$skive" prune student.onnx --data $data --teacher teacher.onnx --distill-alpha 0.7 --finetune 2 --batch 32 -o p.onnx
for schedule in one-shot cubic iterative; do
    expect 0 'all +2,608 +261 +89.99' "$skive" prune teacher.onnx --data $data --prune-schedule $schedule --finetune 5 --batch 32 -o p.onnx
    expect 0 'all +2,608 +261 +89.99' "$skive" prune teacher.onnx --data $data --prune-schedule $schedule --finetune 5 --batch 32 \
        --surgery --surgery-until 0.5 --distill-alpha 0.7 -T 2 --checkpoint p.ckpt -o p.onnx
    expect 0 'resumed after epoch 5' "$skive" prune teacher.onnx --data $data --prune-schedule $schedule --finetune 5 --batch 32 \
        --surgery --surgery-until 0.5 --distill-alpha 0.7 -T 2 --checkpoint p.ckpt -o q.onnx
    expect 0 '' cmp p.onnx q.onnx
    rm -f p.ckpt
done
for method in minmax percentile mse entropy; do
    expect 0 'quantized 2 nodes' "$skive" quantize student.onnx --data $data --calibration $method --samples 100 -o int8.onnx
done
expect 0 'weight int8' "$skive" quantize student.onnx --data $data --samples 50 --table -o int8.onnx
expect 0 'latency +median' "$skive" bench int8.onnx --threads 1 --runs 5 --seconds 0.01
expect 0 '"p50"' "$skive" bench teacher.onnx --runs 5 --seconds 0.01 --json
expect 0 'Gemm' "$skive" explain teacher.onnx
expect 0 'with the usual kernels, .* plans measured' "$skive" tune teacher.onnx --seconds 0.01
echo "no choices" >teacher.onnx.tune
expect 0 'the usual kernels are used: teacher.onnx.tune: damaged' "$skive" bench teacher.onnx --runs 5 --seconds 0.01
rm teacher.onnx.tune
expect 0 'differ by' "$skive" simplify teacher.onnx -o simple.onnx
expect 0 '"max_difference": 0' "$skive" simplify teacher.onnx -o simple.onnx --passes merge-duplicates --json
expect 0 'when named' "$skive" simplify --list
expect 2 'no-such' "$skive" simplify teacher.onnx -o simple.onnx --passes no-such
expect 0 'same class' "$skive" compare teacher.onnx student.onnx pruned.onnx int8.onnx --data $data --seconds 0.01 --report report.json
expect 0 '"mcnemar_p"' cat report.json

# run, by hand: one image through the teacher, by name and by position, the same.
python3 - <<'P'
import struct
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 8, 8), }"
header += ' ' * (64 - (len(header) + 11) % 64) + '\n'
open('x.npy', 'wb').write(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header.encode() +
                          struct.pack('<128f', *[i / 128 for i in range(128)]))
P
if [ -e x.npy ]; then
    expect 0 'logits -> y.npy' "$skive" run teacher.onnx --input x.npy -o y.npy
    expect 0 'logits -> z.npy' "$skive" run teacher.onnx --input input=x.npy -o logits=z.npy --reference
    expect 0 '' test -s y.npy -a -s z.npy
    expect 0 '"file": "./logits.npy"' "$skive" run teacher.onnx --input x.npy --output-dir . --json
    expect 0 '' cmp y.npy logits.npy
fi

# Every split can be limited; a set without test samples of its own says so.
expect 0 'on 20 samples .*validation' "$skive" eval teacher.onnx --data $data --split validation --limit 20
expect 0 'no separate test samples' "$skive" eval teacher.onnx --data $data --limit 30
expect 0 'idx: 40 samples in the train-full|40 samples' "$skive" train mlp:8 --data $data --no-validation --limit 40 --epochs 1 --batch 32 -o few.onnx

# The same seed gives the same bits.
expect 0 'wrote' "$skive" train mlp:8 --data $data --epochs 2 --batch 32 -q --seed 7 -o a.onnx
expect 0 'wrote' "$skive" train mlp:8 --data $data --epochs 2 --batch 32 -q --seed 7 -o b.onnx
expect 0 '' cmp a.onnx b.onnx
expect 0 'wrote' "$skive" train mlp:8 --data $data --epochs 2 --batch 32 -q --seed 8 -o b.onnx
expect 1 'differ' cmp a.onnx b.onnx

# A stopped run goes on from its checkpoint to the same result.
expect 0 'wrote' "$skive" train mlp:8 --data $data --epochs 4 --batch 32 -q -o whole.onnx
expect 0 'wrote' "$skive" train mlp:8 --data $data --epochs 4 --batch 32 -q --checkpoint run.ckpt -o first.onnx
expect 0 'resumed after epoch 4|wrote' "$skive" train mlp:8 --data $data --epochs 4 --batch 32 --checkpoint run.ckpt -o second.onnx
expect 0 '' cmp whole.onnx first.onnx
expect 0 '' cmp whole.onnx second.onnx

# It is refused for a data set that has other contents now, under the same names.
cp images.idx i2.idx
cp labels.idx l2.idx
expect 0 'wrote' "$skive" train mlp:8 --data idx:i2.idx,l2.idx --epochs 1 --batch 32 -q --checkpoint c2.ckpt -o second.onnx
{ head -c 8 labels.idx; tail -c +9 labels.idx | LC_ALL=C tr '\0\1\2' '\1\2\0'; } >l2.idx
expect 2 'another contents of the data set' \
    "$skive" train mlp:8 --data idx:i2.idx,l2.idx --epochs 2 --batch 32 -q --resume c2.ckpt -o second.onnx

# Help for people, for machines, for man.
expect 0 'Usage: skive SUBCOMMAND' "$skive" --help
expect 0 'Exit status' "$skive" --help
for command in train inspect eval distill prune quantize share factorize run bench simplify explain compare; do
    expect 0 "Usage: skive $command" "$skive" $command --help
    expect 0 "Usage: skive $command" "$skive" help $command
done
expect 0 '^\.TH SKIVE' "$skive" help --man
expect 0 '^skive [0-9]' "$skive" --version
no_leftovers
finish
