#!/usr/bin/env bash
# --dry-run of every method: what would be done is shown, and nothing is done.
. "$(dirname "$0")/common.sh"
make_data
expect 0 'wrote m.onnx' "$skive" train mlp:16,8 --data $data --epochs 2 --batch 32 -o m.onnx
expect 0 'wrote p.onnx' "$skive" prune m.onnx --sparsity 0.8 -o p.onnx
cp out.txt really.txt
before=$(sha256sum m.onnx)

# dry PATTERN COMMAND...: with and without --output and as JSON; no file appears, and no file changes.
output='-o new.skv' # as the command takes it
dry() {
    local pattern=$1
    shift
    expect 0 "$pattern" "$skive" "$@" --dry-run
    expect 0 'dry run: nothing was trained, and nothing was written' "$skive" "$@" --dry-run
    expect 0 '"dry_run": true' "$skive" "$@" --dry-run --json $output
    absent new.skv
    absent new.onnx
    checks=$((checks + 1))
    if [ "$(sha256sum m.onnx)" != "$before" ]; then
        echo "FAIL: m.onnx has changed"
        failures=$((failures + 1))
    fi
}

dry 'would quantize 3 nodes' quantize m.onnx
dry 'fc1.weight +[0-9.]+' quantize m.onnx --data $data
dry 'kept in float: 1 Gemm .*: it is excluded by --skip' quantize m.onnx --skip fc1
dry 'weights would take [0-9.]+ [KM]?i?B, now' quantize m.onnx --max-drop 1
dry 'fc1 .* 80.00 %|all .* 1,[0-9]+ ' prune m.onnx --sparsity 0.8
dry 'by the weights as they are before any fine-tuning' prune m.onnx --sparsity 0.8 --finetune 3 --data $data
dry 'fc1 .* %' prune m.onnx --sparsity 0.8 --criterion taylor:batches=2 --data $data
dry 'indices and codebooks would take' share m.onnx --bits 3 --finetune 2 --data $data --checkpoint c.ckpt
dry 'parameters' factorize m.onnx --rank 2 --no-measure
dry 'fc1.weight +weight +1,024 +yes, with weight decay' train m.onnx --data $data --epochs 7 --checkpoint c.ckpt
dry 'fc1.weight .* no: frozen' train m.onnx --data $data --freeze 'fc1.*'
dry 'would train 1,[0-9]+ numbers and leave 0 as they are: 7 epochs by sgd' train m.onnx --data $data --epochs 7
dry 'fc2.weight +weight' distill --teacher m.onnx --student mlp:6,4 --data $data
dry 'the file would have [0-9]+ bytes' pack m.onnx --weights int4
dry 'outputs on 2 random inputs differ' simplify m.onnx
output='' # it writes nothing
dry 'would run over the samples 6 times, once for each of 3 layers and 2 grids: weights on the grid, inputs uint8' \
    sensitivity m.onnx --grids int8,int4
dry 'left out: fc1: it is excluded by --skip' sensitivity m.onnx --skip fc1 --data $data
dry 'would estimate the harm of 3 layers on 3 grids from 8 random vectors and 10 batches' sensitivity m.onnx --by hessian
absent c.ckpt

# What is told is what happens: the same counts, and the bytes of the file that is then written.
expect 0 '' "$skive" prune m.onnx --sparsity 0.8 --dry-run --json
cp out.txt told.json
expect 0 '' "$skive" prune m.onnx --sparsity 0.8 --json -o q.onnx
cp out.txt done.json
checks=$((checks + 1))
perl -MJSON::PP -e '
    sub in { local $/; open my $f, "<", $_[0]; JSON::PP->new->canonical->decode(scalar <$f>) }
    my ($t, $d) = map { JSON::PP->new->canonical->encode(in($_)->{layers}) } @ARGV;
    $t eq $d or die "told $t\ndone $d\n"' told.json done.json || failures=$((failures + 1))
expect 0 '' "$skive" quantize m.onnx --dry-run --json
cp out.txt told.json
expect 0 '' "$skive" quantize m.onnx --data $data --json -o q.onnx
cp out.txt done.json
checks=$((checks + 1))
perl -MJSON::PP -e '
    sub in { local $/; open my $f, "<", $_[0]; decode_json(<$f>) }
    my ($t, $d) = map { in($_) } @ARGV;
    $t->{weight_bytes} == $d->{weight_bytes} && $t->{quantized_nodes} == $d->{quantized_nodes}
        or die "told $t->{weight_bytes}, done $d->{weight_bytes}\n"' told.json done.json || failures=$((failures + 1))
expect 0 '' "$skive" pack m.onnx --weights int4 --dry-run
told=$(sed -n 's/^the file would have \([0-9]*\) bytes.*/\1/p' out.txt)
expect 0 "wrote m.skv: $told bytes" "$skive" pack m.onnx --weights int4 -o m.skv
output='-o new.onnx'
dry 'the file would have [0-9]+ bytes' unpack m.skv
expect 0 '' "$skive" unpack m.skv --dry-run
told=$(sed -n 's/^the file would have \([0-9]*\) bytes.*/\1/p' out.txt)
expect 0 '' "$skive" unpack m.skv -o u.onnx
checks=$((checks + 1))
if [ "$(stat -c %s u.onnx)" != "$told" ]; then
    echo "FAIL: unpack told $told bytes"
    failures=$((failures + 1))
fi
# The bytes and errors of the weights are those that are then measured with.
expect 0 '' "$skive" sensitivity m.onnx --grids int8,int4 --dry-run --json
cp out.txt told.json
expect 0 '' "$skive" sensitivity m.onnx --grids int8,int4 --data $data --json
cp out.txt done.json
checks=$((checks + 1))
perl -MJSON::PP -e '
    sub in { local $/; open my $f, "<", $_[0]; decode_json(<$f>) }
    my ($t, $d) = map { join " ", map { "$_->{node} $_->{grid} $_->{bytes} $_->{weight_sqnr}" } @{in($_)->{rows}} } @ARGV;
    $t eq $d && length $t > 20 or die "told $t\ndone $d\n"' told.json done.json || failures=$((failures + 1))

# What cannot be done is said before it is tried.
expect 2 'criterion' "$skive" prune m.onnx --criterion nope --dry-run
expect 13 "no node 'fc9'" "$skive" quantize m.onnx --skip fc9 --dry-run
expect 13 'fc9' "$skive" train m.onnx --data $data --freeze fc9 --dry-run
expect 2 '--output is missing' "$skive" prune m.onnx
expect 2 '--data is missing' "$skive" sensitivity m.onnx
expect 2 "no harm 'nope'|nope" "$skive" sensitivity m.onnx --by nope --dry-run

# A budget of bytes: kept, exact, and the least possible said where it cannot be.
expect 0 '' "$skive" pack m.onnx --dry-run
whole=$(sed -n 's/^the file would have \([0-9]*\) bytes.*/\1/p' out.txt)
budget=$((whole / 3))
expect 0 "budget: $budget bytes, of which [0-9]+ are taken" "$skive" pack m.onnx --bytes ${budget}B -o b.skv
checks=$((checks + 1))
if [ "$(stat -c %s b.skv)" -gt "$budget" ]; then
    echo "FAIL: b.skv is larger than $budget"
    failures=$((failures + 1))
fi
expect 0 'accuracy' "$skive" eval b.skv --data $data
expect 0 '"budget": ' "$skive" pack m.onnx --bytes 0.5 --dry-run --json
expect 11 'a file of 100 bytes cannot be reached .* the least possible is [0-9]+' "$skive" pack m.onnx --bytes 100B -o c.skv
expect 2 'cannot be combined' "$skive" pack m.onnx --bytes 0.5 --weights int8 -o c.skv
expect 2 'bytes' "$skive" pack m.onnx --bytes lots -o c.skv
absent c.skv
finish
