#!/usr/bin/env bash
# Bad input of every kind: a message that names the place, the right exit status, and nothing lost or left behind.
. "$(dirname "$0")/common.sh"
make_data
"$skive" train mlp:8 --data $data --epochs 1 --batch 32 -q -o model.onnx >/dev/null || exit 1

# ---- options ----
expect 2 'no subcommand' "$skive" frobnicate
expect 2 'Usage' "$skive"
expect 2 "no option '--frob'" "$skive" inspect --frob model.onnx
one_line
expect 2 'MODEL is missing' "$skive" inspect
expect 2 'one argument too many' "$skive" inspect a.onnx b.onnx
expect 2 '\-\-epochs is many; it must be a whole number' "$skive" train mlp --data $data --epochs many -o x.onnx
one_line
expect 2 'sparsity is 1\.5' "$skive" prune model.onnx --sparsity 1.5 -o x.onnx
one_line
expect 2 'sparsity is lots; it must be a number' "$skive" prune model.onnx --sparsity lots -o x.onnx
expect 2 'threshold is -1' "$skive" prune model.onnx --threshold -1 -o x.onnx
one_line
expect 2 'threshold is nan; it must be at least 0' "$skive" prune model.onnx --threshold nan -o x.onnx
expect 2 'only one of' "$skive" prune model.onnx --threshold 0.1 --sparsity 0.5 -o x.onnx
one_line
expect 2 'only one of' "$skive" prune model.onnx --threshold 0.1 --threshold-std 0.5 -o x.onnx
expect 2 "with a threshold use 'one-shot'" "$skive" prune model.onnx --threshold 0.1 --prune-schedule cubic -o x.onnx
expect 2 "'lamp' does not score" "$skive" prune model.onnx --threshold-std 1 --criterion lamp -o x.onnx
expect 2 "'taylor' looks at data" "$skive" prune model.onnx --criterion taylor -o x.onnx
one_line
expect 2 "criterion 'taylor'.*batchs.*batches" "$skive" prune model.onnx --criterion taylor:batchs=3 -o x.onnx
expect 2 "named 'fc9.weight'" "$skive" prune model.onnx --layer fc9.weight=0.5 -o x.onnx
one_line
expect 2 "sparsity of 'fc1.weight' is 1\.5" "$skive" prune model.onnx --layer fc1.weight=1.5 -o x.onnx
for layer in fc1.weight fc1.weight= =0.5 fc1.weight=half fc1.weight=0.5x; do
    expect 2 'not of the form PARAMETER=SPARSITY' "$skive" prune model.onnx --layer $layer -o x.onnx
done
one_line
expect 2 "named 'fc9.weight'" "$skive" prune model.onnx --skip fc9.weight -o x.onnx
expect 2 '\-\-surgery needs --finetune' "$skive" prune model.onnx --surgery -o x.onnx
expect 2 '\-\-surgery-until needs --surgery' "$skive" prune model.onnx --surgery-until 0.5 -o x.onnx
expect 2 '\-\-distill-alpha needs --finetune' "$skive" prune model.onnx --distill-alpha 0.5 -o x.onnx
expect 2 '\-\-teacher needs --distill-alpha' "$skive" prune model.onnx --data $data --finetune 1 --teacher model.onnx -o x.onnx
expect 2 '\-\-temperature needs --distill-alpha' "$skive" prune model.onnx --data $data --finetune 1 -T 2 -o x.onnx
expect 2 'alpha is 2' "$skive" prune model.onnx --data $data --finetune 1 --distill-alpha 2 -o x.onnx
expect 2 'surgery-until is 0; it must be above 0 and at most 1' "$skive" prune model.onnx --data $data --finetune 1 --surgery --surgery-until 0 -o x.onnx
expect 2 'no calibration method' "$skive" quantize model.onnx --data $data --calibration astrology -o x.onnx
expect 2 'no optimizer' "$skive" train mlp --data $data --optimizer magic -o x.onnx
expect 2 'alpha is 3' "$skive" distill --teacher model.onnx --student mlp --data $data --alpha 3 -o x.onnx
expect 2 'temperature' "$skive" distill --teacher model.onnx --student mlp --data $data -T 0 -o x.onnx
expect 2 '\-\-finetune needs --data' "$skive" prune model.onnx --finetune 2 -o x.onnx
expect 13 'no built-in network' "$skive" train alexandria --data $data -o x.onnx
one_line
absent x.onnx

# ---- models ----
expect 4 'nothere.onnx' "$skive" inspect nothere.onnx
one_line
echo 'this is not a model' >text.onnx
expect 5 'text.onnx' "$skive" inspect text.onnx
one_line
: >empty.onnx
expect 5 'empty.onnx' "$skive" inspect empty.onnx
size=$(stat -c %s model.onnx)
for at in 1 7 40 200 $((size / 2)) $((size - 1)); do
    head -c "$at" model.onnx >cut.onnx
    checks=$((checks + 1))
    "$skive" inspect cut.onnx >out.txt 2>err.txt
    got=$?
    # A cut between two fields of the outermost message is a shorter model, which is then found incomplete.
    if [ $got -ne 5 ] && [ $got -ne 7 ] && [ $got -ne 8 ] && [ $got -ne 12 ] && [ $got -ne 6 ]; then
        echo "FAIL: cut at $at gave status $got"
        cat err.txt
        failures=$((failures + 1))
    fi
done
expect 4 '' "$skive" inspect .

# ---- data ----
expect 9 'nothere' "$skive" eval model.onnx --data mnist:nothere
one_line
expect 13 "no.*kind|no data set" "$skive" eval model.onnx --data imagenet
head -c 100 images.idx >short.idx
expect 9 'short.idx' "$skive" eval model.onnx --data idx:short.idx,labels.idx
one_line
head -c 100 labels.idx >few.idx
expect 9 'few.idx' "$skive" eval model.onnx --data idx:images.idx,few.idx
one_line
perl -e 'print pack("NN", 0x801, 599), "\0" x 599' >other.idx
expect 9 '599.*600|600.*599' "$skive" eval model.onnx --data idx:images.idx,other.idx
one_line
printf 'XXXX' | cat - images.idx >magic.idx
expect 9 'magic.idx' "$skive" eval model.onnx --data idx:magic.idx,labels.idx
one_line
mkdir -p pictures/cat pictures/dog
echo 'not a picture' >pictures/cat/one.png
echo 'not a picture' >pictures/dog/one.png
expect 9 'one.png' "$skive" eval model.onnx --data folder:pictures
one_line
"$skive" train mlp:4 --data npy:nothere.npy,y.npy -o x.onnx >/dev/null 2>&1 && { echo 'FAIL: missing npy'; failures=$((failures + 1)); }

# ---- outputs ----
# Found out before the work, not after it: these would train for hours.
for command in "train mlp:8" "distill --teacher model.onnx --student mlp:4"; do
    expect 4 'nofolder/x.onnx: cannot write: there is no folder nofolder' timeout 60 "$skive" $command --data $data --epochs 1000000 -o nofolder/x.onnx
    one_line
    expect 4 'nofolder/c: cannot write' timeout 60 "$skive" $command --data $data --epochs 1000000 --checkpoint nofolder/c -o x.onnx
    expect 4 'pictures: cannot write: it is a folder' timeout 60 "$skive" $command --data $data --epochs 1000000 -o pictures
done
expect 4 'nofolder' timeout 60 "$skive" prune model.onnx --data $data --finetune 1000000 -o nofolder/x.onnx
expect 4 'nofolder' "$skive" quantize model.onnx --data $data -o nofolder/x.onnx
expect 4 'nofolder' "$skive" compare model.onnx model.onnx --data $data --report nofolder/r.json
one_line
expect 4 'cannot write to standard output' sh -c "'$skive' inspect model.onnx >/dev/full"
cp model.onnx kept.onnx
expect 4 'nofolder' "$skive" prune model.onnx --sparsity 0.5 -o nofolder/x.onnx
one_line
if [ "$(id -u)" -ne 0 ]; then
    chmod a-w kept.onnx
    expect 4 'kept.onnx' "$skive" prune model.onnx --sparsity 0.5 -o kept.onnx
    chmod u+w kept.onnx
fi
# A full disk: the old file stands, nothing is left behind. A small tmpfs where that is possible, else a size limit.
mkdir -p full
disk='a limit on the size of files'
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=8k tmpfs full 2>/dev/null; then
    disk='a small tmpfs'
    echo old >full/model.onnx
    "$skive" train mlp:64,64 --data $data --epochs 1 --batch 32 -q -o big.onnx >/dev/null 2>&1
    expect 4 'No space left' "$skive" prune big.onnx --sparsity 0.5 -o full/model.onnx
    one_line
    expect 0 '^old$' cat full/model.onnx
    expect 0 '^1$' sh -c 'ls -A full | wc -l'
    # What took long to make is put where there is room.
    TMPDIR=$work expect 4 'No space left.*; the model was saved as .*/skive-[0-9]+-model.onnx instead' \
        "$skive" train mlp:64,64 --data $data --epochs 1 --batch 32 -q -o full/model.onnx
    one_line
    expect 0 'accuracy' "$skive" eval skive-*-model.onnx --data $data
    expect 0 '^old$' cat full/model.onnx
    head -c 7500 /dev/zero >full/model.onnx
    expect 4 'r.json: cannot write: No space left' "$skive" compare model.onnx model.onnx --data $data --seconds 0.01 --report full/r.json
    expect 4 'c: cannot write: No space left' "$skive" train mlp:64,64 --data $data --epochs 1 --batch 32 -q --checkpoint full/c -o x.onnx
    absent x.onnx
    expect 0 '^1$' sh -c 'ls -A full | wc -l'
    umount full
else
    expect 4 'x.onnx' bash -c "ulimit -f 1; '$skive' prune model.onnx --sparsity 0.5 -o x.onnx"
    absent x.onnx
fi
echo "full disk: $disk"

# ---- Ctrl-C while training: exit status 130, what the finished epochs reached is saved, nothing else is left ----
"$skive" train mlp:64,64 --data $data --epochs 100000 --batch 8 -q -o stopped.onnx >out.txt 2>err.txt &
pid=$!
sleep 2
kill -INT $pid
wait $pid
got=$?
checks=$((checks + 1))
if [ $got -ne 130 ]; then
    echo "FAIL: interrupted training gave status $got"
    cat err.txt
    failures=$((failures + 1))
fi
expect 0 'accuracy' "$skive" eval stopped.onnx --data $data

# stop NAME STATUS PATTERN COMMAND...: the command is stopped by Ctrl-C once NAME appears on its standard error.
stop() {
    local name=$1 pattern=$2 pid got
    shift 2
    checks=$((checks + 1))
    "$@" >out.txt 2>err.txt &
    pid=$!
    for _ in $(seq 200); do
        grep -q -- "$name" err.txt && break
        sleep 0.05
    done
    kill -INT $pid
    wait $pid
    got=$?
    if [ $got -ne 130 ] || ! cat out.txt err.txt | grep -qE -- "$pattern"; then
        echo "FAIL: stopped with status $got and nothing like /$pattern/: $*"
        cat out.txt err.txt
        failures=$((failures + 1))
    fi
}
# Fine-tuning keeps what its epochs reached, under the mask.
stop 'fine-tune epoch 2/' 'wrote tuned.onnx' "$skive" prune model.onnx --data $data --sparsity 0.5 --finetune 100000 --batch 8 -o tuned.onnx
one_line
expect 0 ' 50\.[0-9] %$' "$skive" inspect tuned.onnx
stop 'fine-tune epoch 2/' 'wrote shared.onnx' "$skive" share tuned.onnx --data $data --bits 2 --finetune 100000 --batch 8 -o shared.onnx
one_line
expect 0 'total .* 49\.[0-9] %$' "$skive" inspect shared.onnx
stop 'distill epoch 2/' 'wrote taught.onnx' "$skive" distill --teacher model.onnx --student mlp:16 --data $data --epochs 100000 --batch 8 -o taught.onnx
one_line
# Before anything is finished there is nothing to save, and the one who pressed the keys is told so. One epoch takes minutes.
make_long_data
stop 'train:.*epoch 1/' 'interrupted before an epoch was finished; early.onnx was not written' \
    "$skive" train mlp:512,512 --data idx:long.idx,long_labels.idx --batch 1 --epochs 2 -o early.onnx
one_line
absent early.onnx
no_leftovers
finish
