#!/usr/bin/env bash
# skive prune --structured: budgets, criteria, what is refused; the files are smaller and other runtimes read them.
. "$(dirname "$0")/common.sh"
make_data
bytes() { stat -c %s "$1"; }
holds() { # what TEST...: a condition
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" || { echo "FAIL: $what"; failures=$((failures + 1)); }
}
field() { # FILE EXPRESSION: a number of a report in JSON
    python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

expect 0 'wrote mlp.onnx' "$skive" train mlp:64,64 --data $data --epochs 4 --batch 32 -q -o mlp.onnx
expect 0 'wrote res.onnx' "$skive" train resnet20 --data $data --epochs 0 -o res.onnx
expect 0 'wrote lstm.onnx' "$skive" train lstm --data $data --epochs 0 -o lstm.onnx

# ---- budgets ----
expect 0 'removed [0-9]+ of 128 removable channels' "$skive" prune mlp.onnx --structured --params 0.5 -o half.onnx
cp out.txt told.txt
holds 'half the file' [ $((10 * $(bytes half.onnx))) -lt $((6 * $(bytes mlp.onnx))) ]
expect 0 'fc3 +fc3.weight +neurons +3 +all: it is an output' cat told.txt
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval half.onnx --data $data
"$skive" prune res.onnx --structured --macs 0.5 --json -o small.onnx >r.json 2>err.txt || { cat err.txt; failures=$((failures + 1)); }
holds 'half the macs' [ "$(field r.json '0.45 < r["after"]["macs"] / r["before"]["macs"] <= 0.5')" = True ]
holds 'the file as told' [ "$(field r.json 'r["after"]["bytes"]')" -eq "$(bytes small.onnx)" ]
expect 0 'or more are multiples of 8' "$skive" prune res.onnx --granularity channel:multiple=8 --bytes 300k -o tiny.onnx
holds 'bytes as asked' [ "$(bytes tiny.onnx)" -le 300000 ]
expect 0 'hidden units +[0-9]+ +[0-9]+' "$skive" prune lstm.onnx --structured --params 70% -o cell.onnx
expect_time 'time of one sample' "$skive" prune mlp.onnx --structured --latency 90% -o fast.onnx
expect_time 'exact choice: ' "$skive" prune res.onnx --granularity channel:choose=exact,multiple=8 --latency 70% -o fast.onnx

# ---- Transformers: tokens are no channels, also where the batch is open ----
expect 0 'wrote vit.onnx' "$skive" zoo vit:dim=32,depth=1,heads=4,patch=4 --sample 1,8,8 --classes 4 -o vit.onnx
expect 0 'wrote vit_half.onnx' "$skive" prune vit.onnx --structured --params 60% -o vit_half.onnx
expect 0 'median' "$skive" bench vit_half.onnx --threads 1

# ---- a limit on the loss ----
expect 0 'limit on the loss: [0-9]+ of 20 parts' "$skive" prune mlp.onnx --data $data --sparsity 0.99 --max-drop 3 -o within.onnx
expect 0 '20/20 .*(too much|within the limit)' "$skive" prune mlp.onnx --data $data --structured --params 0.1 --max-drop 3 -o within.onnx
expect 0 '"of": 20' "$skive" prune mlp.onnx --data $data --sparsity 0.9 --max-drop 100 --json -o within.onnx
expect 2 'validation set' "$skive" prune mlp.onnx --sparsity 0.9 --max-drop 3 -o none.onnx
expect 2 'a checkpoint, which is of one run' "$skive" prune mlp.onnx --data $data --max-drop 3 --finetune 1 --checkpoint c.ckpt -o none.onnx

# ---- steps, fine-tuning, checkpoints ----
expect 0 'trained 2 epochs|epoch [12] was best' "$skive" prune mlp.onnx --structured --params 0.3 --data $data --finetune 2 --batch 32 -o tuned.onnx
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval tuned.onnx --data $data
steps() { "$skive" prune mlp.onnx --granularity channel:multiple=1 --params 0.3 --prune-schedule cubic --steps 2 --data $data --finetune 2 --batch 32 -q "$@"; }
expect 0 'wrote' steps -o one.onnx
expect 0 'wrote' steps -o two.onnx
expect 0 '' cmp one.onnx two.onnx
expect 0 'wrote' "$skive" prune mlp.onnx --structured --params 0.3 --data $data --finetune 1 --distill-alpha 0.5 -o taught.onnx

# ---- criteria ----
for criterion in magnitude lamp random median taylor taylor:measure=activation fisher wanda entropy apoz; do
    expect 0 'wrote by.onnx' "$skive" prune mlp.onnx --structured --params 0.5 --criterion $criterion --data $data -o by.onnx
    expect 0 'accuracy' "$skive" eval by.onnx --data $data
done
expect 0 'removed' "$skive" prune res.onnx --granularity channel:multiple=4 --macs 0.7 --criterion scale -o by.onnx
for granularity in 'block:4x1 --sparsity 0.5' 'block:1x4 --sparsity 0.5' 'kernel --sparsity 0.5' nm:2:4 nm:1:4; do
    # shellcheck disable=SC2086 # an option and its value
    expect 0 'wrote by.onnx' "$skive" prune mlp.onnx --granularity $granularity --data $data --finetune 1 -o by.onnx
    expect 0 'accuracy' "$skive" eval by.onnx --data $data
done
expect 0 'fc1.weight +4,096 +2,048 +50.00 %' "$skive" prune mlp.onnx --granularity nm:2:4 -o by.onnx
for group in sum mean max first; do
    expect 0 'wrote by.onnx' "$skive" prune mlp.onnx --granularity "channel:$group,normalise=none" --params 0.5 -o by.onnx
done
expect 0 'fc1 +fc1.weight +neurons +64 +64' "$skive" prune mlp.onnx --structured --params 0.6 --skip fc1.weight -o kept.onnx

# ---- without a budget ----
expect 0 'no channel does nothing' "$skive" prune mlp.onnx --lossless -o same.onnx
expect 0 'removed 0 of 128 removable channels' "$skive" prune mlp.onnx --structured --zeros -o same.onnx

# ---- a dry run ----
expect 0 'dry run: nothing was trained, and nothing was written' "$skive" prune mlp.onnx --structured --params 0.5 --dry-run -o dry.onnx
absent dry.onnx

# ---- what cannot be ----
expect 2 'lossless removes all channels that do nothing and no others: it cannot be used with a budget' "$skive" prune mlp.onnx --lossless --macs 0.5 -o no.onnx
expect 2 '--criterion has no effect with --zeros' "$skive" prune mlp.onnx --zeros --criterion lamp -o no.onnx
expect 2 '--tolerance needs --lossless' "$skive" prune mlp.onnx --zeros --tolerance 1e-6 -o no.onnx
expect 2 'the pattern of .nm:2:4. says how many' "$skive" prune mlp.onnx --granularity nm:2:4 --sparsity 0.5 -o no.onnx
expect 11 'below the smallest that can be reached.*must stay: .fc3.weight' "$skive" prune mlp.onnx --structured --params 0.001 -o no.onnx
one_line
expect 0 'removed 0 of ' "$skive" prune mlp.onnx --structured --macs 1 -o all.onnx
expect 0 'removed 0 of ' "$skive" prune mlp.onnx --granularity head --params 100% -o all.onnx
expect 0 'removed 0 of ' "$skive" prune mlp.onnx --structured --bytes 100000000 -o all.onnx
for g in element head layer; do
    expect 2 "channel by channel, not by '$g'" "$skive" prune mlp.onnx --lossless --granularity $g -o no.onnx
    expect 2 "channel by channel, not by '$g'" "$skive" prune mlp.onnx --zeros --granularity $g -o no.onnx
done
expect 0 '' "$skive" prune mlp.onnx --data $data --batch 32 --criterion movement --lr 0.1 --deterministic -q -o moved.onnx
expect 2 'lr needs --finetune or --criterion movement' "$skive" prune mlp.onnx --data $data --lr 0.1 -o no.onnx
expect 2 'scratch-control needs --finetune' "$skive" prune mlp.onnx --data $data --scratch-control 1 -o no.onnx
expect 11 'the budget of [0-9]+ multiply-accumulates is below the smallest that can be reached, [0-9]+' "$skive" prune mlp.onnx --structured --macs 2 -o no.onnx
expect 2 'reconstruct has no effect with --lossless' "$skive" prune mlp.onnx --lossless --reconstruct --data $data -o no.onnx
expect 2 'recalibrate-bn on looks at data' "$skive" prune mlp.onnx -s 0.5 --recalibrate-bn on -o no.onnx
expect 0 'has no BatchNormalization with statistics' "$skive" prune mlp.onnx -s 0.5 --recalibrate-bn on --data $data -o bn.onnx
expect 2 'there is no budget' "$skive" prune mlp.onnx --structured -o no.onnx
expect 2 'more than one budget' "$skive" prune mlp.onnx --structured --params 0.5 --macs 0.5 -o no.onnx
expect 2 "is for the granularity 'channel'" "$skive" prune mlp.onnx --params 0.5 -o no.onnx
expect 2 'sparsity is of single weights' "$skive" prune mlp.onnx --structured --sparsity 0.5 -o no.onnx
expect 2 'only one of the two' "$skive" prune mlp.onnx --structured --granularity element --params 0.5 -o no.onnx
expect 2 'is for single weights' "$skive" prune mlp.onnx --structured --params 0.5 --threshold 0.1 -o no.onnx
expect 2 'is for single weights, not for channels; they have channel:floor=' "$skive" prune mlp.onnx --structured --params 0.5 --layer-floor 0.5 -o no.onnx
expect 2 '--macs is many; it must be a fraction' "$skive" prune mlp.onnx --structured --macs many -o no.onnx
expect 2 "no granularity 'chanel'; did you mean 'channel'" "$skive" prune mlp.onnx --granularity chanel --params 0.5 -o no.onnx
expect 2 'a training set is missing' "$skive" prune mlp.onnx --structured --params 0.5 --criterion taylor -o no.onnx
expect 2 'scores whole channels' "$skive" prune mlp.onnx --criterion taylor:measure=activation --data $data -o no.onnx
absent no.onnx
no_leftovers
finish
