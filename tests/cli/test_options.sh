#!/bin/bash
# Options of the library in the command: both spellings, messages, help, JSON.
. "$(dirname "$0")/common.sh"
make_data
# same A B: two files with the same bytes.
same() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || { echo "FAIL: $1 and $2 differ"; failures=$((failures + 1)); }
}
train() { "$skive" train mlp:8 --data $data --batch 32 --epochs 2 -q "$@"; }
expect 0 '' train --momentum 0.5 --no-nesterov -o a.onnx
expect 0 '' train --optimizer sgd:momentum=0.5,nesterov=no -o b.onnx
same a.onnx b.onnx
expect 0 '' train --optimizer sgd:0.5,nesterov=no -o b.onnx
same a.onnx b.onnx
expect 0 '' train --schedule step --step-every 1 --step-factor 0.5 -o a.onnx
expect 0 '' train --schedule step:every=1,factor=0.5 -o b.onnx
same a.onnx b.onnx
expect 0 '' train --label-smoothing 0.1 --loss cross-entropy -o a.onnx
expect 0 '' train --loss cross-entropy:smoothing=0.1 -o b.onnx
same a.onnx b.onnx
expect 0 '' "$skive" train mlp:8 --data $data --finetune 1 -q -o a.onnx
expect 0 '' "$skive" train mlp:8 --data $data --epochs 1 -q -o b.onnx
same a.onnx b.onnx
mv a.onnx m.onnx
expect 0 '' "$skive" prune m.onnx -s 0.5 --data $data --finetune 2 --prune-schedule cubic --steps 2 -q -o a.onnx
expect 0 '' "$skive" prune m.onnx -s 0.5 --data $data --epochs 2 --prune-schedule cubic:steps=2 -q -o b.onnx
same a.onnx b.onnx
expect 0 '' "$skive" quantize m.onnx --data $data --calibration percentile --percentile 98 -q -o a.onnx
expect 0 '' "$skive" quantize m.onnx --data $data --calibration percentile:98 -q -o b.onnx
same a.onnx b.onnx
expect 0 '' "$skive" quantize m.onnx --data $data --calibration minmax -q -o b.onnx
checks=$((checks + 1))
cmp -s a.onnx b.onnx && { echo "FAIL: another calibration gives the same file"; failures=$((failures + 1)); }

# Messages name the option, what it may be and what there is.
expect 2 "no criterion 'nope'; there are: magnitude, lamp" "$skive" prune m.onnx --criterion nope -o x.onnx
one_line
expect 2 "\-\-optimizer: optimizer 'sgd' has no option 'momentun'; did you mean 'momentum'" train --optimizer sgd:momentun=1 -o x.onnx
one_line
expect 2 "\-\-prune-schedule: pruning schedule 'cubic': steps is 0; it must be between 1 and 1000 \(default 5\)" "$skive" prune m.onnx --prune-schedule cubic:steps=0 -o x.onnx
expect 2 '\-\-lr is -1; it must be between 0 and 1000 \(default 0.02\)' train --lr -1 -o x.onnx
expect 2 '\-\-lr is -1; it must be between 0 and 1000 \(default 0.01\)' "$skive" prune m.onnx --lr -1 -o x.onnx
expect 2 '\-\-clip-norm is big; it must be a number between' train --clip-norm big -o x.onnx
expect 2 '\-\-bits is 2.5; it must be a whole number between 1 and 8' "$skive" share m.onnx --bits 2.5 -o x.onnx
expect 2 'did you mean --clip-norm' train --clip-nrom 1 -o x.onnx
absent x.onnx

# Help and JSON come from the same tables.
for command in train prune share distill factorize; do
    expect 0 '\-\-clip-norm X +clip the norm of the gradient' "$skive" help $command
    expect 0 '"train.clip-norm"' "$skive" help $command --json
done
expect 0 '\-\-schedule NAME .*constant, step, cosine, .* or plateau' env COLUMNS=200 "$skive" help prune
expect 0 '\-\-finetune N .*\(default 0\)' env COLUMNS=200 "$skive" help prune
expect 0 '\-\-lr X .*\(default 0.01\)' env COLUMNS=200 "$skive" help prune
expect 0 '\-\-optimizer sgd:momentum=X' "$skive" help train
expect 0 '"commands"' "$skive" help --json
"$skive" help --json >all.json
checks=$((checks + 1))
perl -MJSON::PP -e '
    local $/; open my $f, "<", "all.json" or die; my $all = decode_json(<$f>);
    my %command = map { $_->{name} => $_ } @{$all->{commands}};
    my %prune = map { $_->{name} => $_ } @{$command{prune}{options}};
    die "sparsity" unless $prune{sparsity}{type} eq "real" && $prune{sparsity}{below} == 1 && $prune{sparsity}{default} == 0.9;
    my ($sgd) = grep { $_->{name} eq "sgd" } @{$prune{optimizer}{choices}};
    die "sgd" unless $sgd->{options}[0]{name} eq "momentum" && $sgd->{options}[0]{default} == 0.9;
    for my $c (values %command) {
        my %seen;
        for my $o (@{$c->{options}}) { die "$c->{name}: $o->{name} twice" if $seen{$o->{name}}++; die "$o->{name}: no help" unless length $o->{help}; }
    }' || failures=$((failures + 1))
no_leftovers
finish
