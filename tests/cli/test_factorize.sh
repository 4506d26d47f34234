#!/usr/bin/env bash
# skive factorize: methods, ranks, budgets, data, fine-tuning, merging, dry runs, and what it refuses.
. "$(dirname "$0")/common.sh"
make_data
export XDG_CACHE_HOME=$work/cache

expect 0 'wrote model.onnx' "$skive" train mlp:64,64 --data $data --epochs 4 --batch 32 -q -o model.onnx
expect 0 'wrote cnn.onnx' "$skive" zoo lenet5 -o cnn.onnx

# ---- methods and ranks ----
for how in svd tucker2 spatial channel separable cp grouped; do
    expect 0 "conv2 .*$how|fc1 .*$how" "$skive" factorize cnn.onnx --method $how --rank 2 --no-measure -o $how.onnx
done
for how in tt sparse; do
    expect 0 "fc1 +$how +2 " "$skive" factorize cnn.onnx --layer fc1=$how:2 --method svd --rank 2 --no-measure -o $how.onnx
done
expect 0 'fc1 +svd' "$skive" factorize model.onnx --rank vbmf -o a.onnx
expect 0 'fc1 +svd' "$skive" factorize model.onnx --rank energy --energy 0.3 -o a.onnx
expect 0 'fc2 +svd +3 ' "$skive" factorize model.onnx --layer fc2=svd:3 --layer fc1=keep --rank 1 --no-measure -o a.onnx
expect 0 'kept fc1 .*asked to be kept' "$skive" factorize model.onnx --layer fc2=svd:3 --layer fc1=keep --rank 1 --no-measure -o a.onnx
expect 0 '"full_rank": 64' "$skive" factorize model.onnx --rank 8 --json -o a.onnx

# ---- budgets ----
for budget in macs params bytes; do
    expect 0 'wrote b.onnx' "$skive" factorize model.onnx --$budget 0.6 --no-measure -o b.onnx
    expect 0 '"macs_before"' "$skive" factorize model.onnx --$budget 0.6 --data $data --samples 64 --no-measure --json -q -o b.onnx
    expect 0 'wrote b.onnx' "$skive" factorize model.onnx --$budget 0.6 --uniform --no-measure -o b.onnx
done
expect 0 'wrote b.onnx' "$skive" factorize model.onnx --macs 0.6 --data $data --samples 64 --no-measure -o b.onnx
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval b.onnx --data $data
expect 0 'loses [-0-9.e]+ points' "$skive" factorize model.onnx --data $data --max-drop 2 --samples 64 --no-measure -o c.onnx
expect 0 'limit on the loss: [0-9]+ of 24 parts' "$skive" factorize model.onnx --data $data --max-drop 2 --params 0.7 --samples 64 --no-measure -o c.onnx
expect 0 '"of": 24' "$skive" factorize model.onnx --data $data --max-drop 2 --samples 64 --no-measure --json -q -o c.onnx
expect 0 'wrote c.onnx' "$skive" factorize model.onnx --macs 0.6 --data $data --weighting fisher --samples 32 --no-measure -o c.onnx
expect 0 'wrote c.onnx' "$skive" factorize model.onnx --macs 0.6 --data $data --samples 64 --refit --no-measure -o c.onnx
expect 0 'fitted fc[12] again.* error of its outputs' "$skive" factorize model.onnx --macs 0.6 --data $data --samples 64 --refit --no-measure -o c.onnx
expect 0 '"refit_error_before"' "$skive" factorize model.onnx --macs 0.6 --data $data --samples 64 --refit --no-measure --json -q -o c.onnx

# ---- fine-tuning, and what follows ----
expect 0 'epoch [12] was best' "$skive" factorize model.onnx --macs 0.5 --data $data --samples 64 --no-measure --finetune 2 --batch 32 -o tuned.onnx
expect 0 'wrote' "$skive" factorize model.onnx --macs 0.5 --data $data --samples 64 --no-measure --finetune 2 --batch 32 -q -o again.onnx
expect 0 '' cmp tuned.onnx again.onnx
expect 0 'accuracy +(9[0-9]|100)' "$skive" eval tuned.onnx --data $data
expect 0 'wrote' "$skive" quantize tuned.onnx --data $data --samples 50 -o int8.onnx
expect 0 'wrote' "$skive" prune tuned.onnx --sparsity 0.5 -o pruned.onnx
expect 0 'wrote' "$skive" share tuned.onnx --bits 4 -o shared.onnx
expect 0 'wrote' "$skive" pack tuned.onnx -o packed.skv
expect 0 'fc1 .*svd' "$skive" factorize packed.skv --rank 2 --no-measure -o d.onnx
expect 0 'rule nuclear|nuclear' "$skive" train model.onnx --data $data --epochs 1 --rule 'nuclear:0.5,every=5' -o low.onnx

expect 0 'wrote taught.onnx' "$skive" factorize model.onnx --macs 0.5 --data $data --samples 64 --no-measure --finetune 1 --batch 32 --teacher tuned.onnx --term relation:auto -o taught.onnx
expect 2 '--teacher is for fine-tuning' "$skive" factorize model.onnx --macs 0.5 --data $data --no-measure --teacher tuned.onnx -o x.onnx
expect 2 '--term is for fine-tuning' "$skive" factorize model.onnx --macs 0.5 --data $data --no-measure --term hint -o x.onnx
expect 2 '--term is empty' "$skive" factorize model.onnx --macs 0.5 --data $data --no-measure --finetune 1 --term '' -o x.onnx

# ---- merging ----
expect 0 'wrote full.onnx' "$skive" factorize model.onnx --layer fc2=svd:64 --layer fc1=keep --rank 1 --no-measure -o full.onnx
expect 0 'merged 1 pair' "$skive" factorize full.onnx --merge -o merged.onnx
expect 6 'nothing to merge' "$skive" factorize model.onnx --merge -o x.onnx

# ---- dry runs ----
expect 0 'conv2 +tucker2' "$skive" factorize cnn.onnx --macs 0.6 --dry-run --no-measure
expect 0 'conv2 +cp .by name' "$skive" factorize cnn.onnx --macs 0.6 --dry-run --no-measure
expect 0 'never chosen by auto' "$skive" factorize cnn.onnx --macs 0.6 --dry-run --no-measure
expect 0 '"by_name": true' "$skive" factorize cnn.onnx --macs 0.6 --dry-run --no-measure --json
expect 0 'nothing was written' "$skive" factorize cnn.onnx --macs 0.6 --dry-run --no-measure
expect 0 '"dry_run": true' "$skive" factorize cnn.onnx --macs 0.6 --dry-run --no-measure --json

# ---- refusals: one line, and no file ----
refuse() { # status pattern option...
    expect "$1" "$2" "$skive" factorize model.onnx "${@:3}" -o x.onnx
    one_line
    absent x.onnx
}
refuse 2 "no factorization 'svt'; did you mean 'svd'\? There are: auto, svd, " --method svt
refuse 2 'whole number from 1 on' --rank 0
refuse 2 'max-drop needs --data|--max-drop needs --data' --max-drop 1
refuse 2 'budget of 9e\+04 ms is not below' --latency 90s
refuse 2 'samples needs --data' --samples 3 --macs 0.5
refuse 2 'one budget at a time' --macs 0.5 --params 0.5
refuse 11 'below the smallest that can be reached' --macs 0.01
refuse 13 "no node 'fc9'" --layer fc9=svd:2
refuse 2 'must be a whole number between 1 and' --layer fc1=svd:1000
refuse 2 'said twice what it gets' --layer fc1=svd:3 --layer fc1=keep
refuse 2 'said twice what it gets' --layer fc1=svd --layer fc1=svd:3 --macs 0.5
refuse 2 'or a whole number from 1 on' --rank 99999999999999999999
refuse 2 'cannot be factorized by cp' --layer fc1=cp:2
refuse 6 'above the full rank' --rank 1000
refuse 9 'needs a data set' --weighting activations --macs 0.5
refuse 2 'needs --data|fine-tun' --finetune 2
no_leftovers
others_read_them
finish
