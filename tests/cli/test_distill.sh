#!/bin/bash
# Terms, several teachers, settings that are tried, generations, an assistant.
. "$(dirname "$0")/common.sh"
make_data
small="--data $data --epochs 1 --batch 50"
expect 0 'wrote' "$skive" train mlp:24 $small -q -o a.onnx
expect 0 'wrote' "$skive" train mlp:20 $small --seed 2 -q -o b.onnx
both="--teacher a.onnx --teacher b.onnx --student mlp:12"
expect 0 "note: relation: the model's '.*' float32\[50,12\] with the teacher's '.*' float32\[50,24\]" \
    "$skive" distill --teacher a.onnx --student mlp:12 $small --term relation -o s.onnx
expect 0 'linear layer of the term.s own from 12 to 20 channels' \
    "$skive" distill $both $small --term hint:of=2,student=Relu*,teacher=Relu*,weight=0.1 --term logits -o s.onnx
expect 0 'note: weights of the teachers: a.onnx 0.7, b.onnx 0.3' \
    "$skive" distill --teacher a.onnx --teacher b.onnx:0.3 --student mlp:12 $small -o s.onnx
expect 0 '2 teachers are combined' "$skive" distill $both $small --combine confidence:by=entropy -o s.onnx
expect 0 '"terms": "logits;relation:angle=0"' \
    "$skive" distill $both $small --term logits --term relation:angle=0 --json -q -o s.onnx
rm -f s.onnx
expect 2 "no term 'hnt'; did you mean 'hint'" "$skive" distill $both $small --term hnt -o s.onnx
one_line
expect 2 'the weight is 0; it must be more than 0' "$skive" distill --teacher a.onnx:0 --student mlp:12 $small -o s.onnx
one_line
expect 2 'weights of its own' "$skive" distill --teacher a.onnx:0.5 --teacher b.onnx --student mlp:12 $small --combine learned -o s.onnx
one_line
expect 2 'needs several teachers' "$skive" distill --teacher a.onnx --student mlp:12 $small --combine mean -o s.onnx
absent s.onnx
# Settings are tried.
expect 0 '^ *[24] +0\.[59] +[12] .*used' "$skive" distill --teacher a.onnx --student mlp:12 --data $data --epochs 2 --batch 50 \
    -T 2,4 --alpha 0.5,0.9 -o s.onnx
expect 0 '"trials"' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2,4 --json -q -o s.onnx
expect 2 'temperature is 0' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2,0 -o s.onnx
expect 2 'tried on validation' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2,4 --no-validation -o s.onnx
expect 2 'several runs' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2,4 --checkpoint x.ckpt -o s.onnx
expect 2 'temperature needs --alpha above 0' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2 --alpha 0 --term logits -o s.onnx
expect 0 'wrote' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2 --alpha 0 --term dkd -o s.onnx
expect 0 'F1 of class' "$skive" compare a.onnx s.onnx --data $data --seconds 0.01 --resamples 0
# Generations, an assistant, a start from the teacher.
expect 0 '^ensemble of 2 ' "$skive" distill --self 2 --student mlp:12 $small -o s.onnx
cp out.txt generations.txt
expect 0 'written' cat generations.txt
expect 0 '"ensemble"' "$skive" distill --self 2 --teacher a.onnx --student mlp:12 $small --json -q -o s.onnx
expect 0 '^assistant mlp:16: validation' "$skive" distill --teacher a.onnx --assistant mlp:16 --student mlp:12 $small -o s.onnx
expect 0 'the student starts with 4 of its 4 parameters' \
    "$skive" distill --teacher a.onnx --student mlp:24 --student-init teacher $small -o s.onnx
expect 13 'no parameter of the student' "$skive" distill --teacher a.onnx --student transformer:dim=8,depth=1,heads=2 --student-init teacher $small -o s.onnx
expect 2 "it can be 'teacher'" "$skive" distill --teacher a.onnx --student mlp:12 --student-init b.onnx $small -o s.onnx
expect 2 'exclude one another' "$skive" distill --self 2 --teacher a.onnx --assistant mlp:16 --student mlp:12 $small -o s.onnx
expect 2 'teacher is missing' "$skive" distill --student mlp:12 $small -o s.onnx
# Several teachers give way to the first generation; the report and the figures are those of what is written.
expect 0 '^1 .*written' "$skive" distill $both $small --self 1 -o s.onnx
expect 0 'first +[0-9.]+' "$skive" distill $both $small --self 2 --log run.csv -o s.onnx
expect 2 'tried with a teacher' "$skive" distill --self 2 --student mlp:12 $small -T 2,8 -o s.onnx
expect 2 'is there twice' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2,2 -o s.onnx
expect 2 'leave --best out' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2,4 --best loss -o s.onnx
expect 2 'temperature needs --alpha above 0' \
    "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2 --alpha 0 --term kl:temperature=3 -o s.onnx
expect 2 'term is empty' "$skive" distill --teacher a.onnx --student mlp:12 $small --term '' -o s.onnx
expect 2 'one of them is empty' "$skive" distill --teacher a.onnx --student mlp:12 $small --term 'hint;;kl' -o s.onnx
expect 2 'empty name' "$skive" distill --teacher a.onnx --student mlp:12 $small --term hint:student=,teacher=Relu -o s.onnx
expect 2 'takes no options' "$skive" distill --teacher a.onnx --student mlp:12 $small --term hint:schedule=step:every=1 -o s.onnx
expect 2 'schedule=plateau' "$skive" distill --teacher a.onnx --student mlp:12 $small --term hint:schedule=plateau -o s.onnx
expect 2 'compares the samples of a batch' \
    "$skive" distill --teacher a.onnx --student mlp:12 --data $data --epochs 1 --batch 1 --term pkt -o s.onnx
expect 2 'compares the samples of a batch' \
    "$skive" distill --teacher a.onnx --student mlp:12 --data $data --epochs 1 --batch 1 --term similarity:student=fc1,teacher=fc1 -o s.onnx
expect 0 '2 settings of temperature and alpha' "$skive" distill --teacher a.onnx --student mlp:12 $small -T 2,4 --dry-run
expect 0 '"teachers": .*"file": "a.onnx".*"terms": "kl".*"temperature": 2.0' \
    sh -c "'$skive' distill --teacher a.onnx --student mlp:12 $small -T 2,4 --term kl --dry-run --json -q | tr '\\n' ' '"
expect 0 'a first model and 2 generations' "$skive" distill --self 2 --student mlp:12 $small --dry-run
# Answers on disk, samples without labels, students together.
expect 0 'answers of [0-9]+ bytes.* take [0-9.]+ KiB' "$skive" distill --teacher a.onnx --student mlp:12 $small --cache answers -o s.onnx
cp s.onnx first.onnx
expect 0 'the teacher ran 0 times' "$skive" distill --teacher a.onnx --student mlp:12 $small --cache answers -o s.onnx
expect 0 '' cmp s.onnx first.onnx
expect 5 'is no cache' "$skive" distill --teacher a.onnx --student mlp:12 $small --cache b.onnx -o s.onnx
expect 2 'have others later' "$skive" distill --teacher a.onnx --student mlp:12 $small --cache c --self 2 -o s.onnx
expect 0 'dry run' "$skive" distill --teacher a.onnx --student mlp:12 $small --cache dry --dry-run
expect 1 '' test -e dry
{ head -c 16 images.idx; tail -c +17 images.idx | LC_ALL=C tr '\0-\376' '\1-\377'; } >other.idx
expect 2 'of another number of training samples .--limit, --no-validation.' \
    "$skive" distill --teacher a.onnx --student mlp:12 $small --no-validation --cache answers -o s.onnx
expect 2 'of another set of samples .--data, --no-validation.' \
    "$skive" distill --teacher a.onnx --student mlp:12 --data idx:other.idx,labels.idx --epochs 1 --cache answers -o s.onnx
# An answer belongs to the numbers of its sample: one that changed is asked anew.
cp images.idx one.idx
head -c 180 /dev/zero | LC_ALL=C tr '\0' '\377' | dd of=one.idx bs=1 seek=80 conv=notrunc 2>/dev/null # samples 1 to 3
one="--data idx:one.idx,labels.idx --epochs 1 --batch 50"
expect 0 'wrote' "$skive" distill --teacher a.onnx --student mlp:12 $one --cache answers -o s.onnx
expect 0 'wrote' "$skive" distill --teacher a.onnx --student mlp:12 $one -o first.onnx
expect 0 '' cmp s.onnx first.onnx
expect 0 'of student 1, epoch' "$skive" distill --mutual 2 --student mlp:12 $small -o s.onnx
cp out.txt mutual.txt
expect 0 'ensemble of 2' cat mutual.txt
expect 2 'mutual does not go with --teacher-mean' \
    "$skive" distill --mutual 2 --teacher-mean 0 --student mlp:12 $small -o s.onnx
for o in "--teacher-mean 0" "--teacher-std 1" "--teacher-scale 255" "--teacher-layout nhwc"; do
    expect 2 'needs --teacher' "$skive" distill --exits auto $o --student mlp:12 $small -o s.onnx
done
# A dry run tells what would be.
expect 0 '"temperature": 1.0.*"mutual": 3' \
    sh -c "'$skive' distill --mutual 3 --student mlp:12 $small --dry-run --json -q | tr '\\n' ' '"
expect 0 'labels=0.7,soft=0.3,temperature=3,weight=0.3.*"exits": "auto"' \
    sh -c "'$skive' distill --exits auto --student resnet8 $small --dry-run --json -q | tr '\\n' ' '"
expect 0 '"unlabelled": "idx:images.idx,labels.idx".*"cache": "dry"' \
    sh -c "'$skive' distill --teacher a.onnx --student mlp:12 $small --limit 90 --unlabelled $data --cache dry --dry-run --json -q | tr '\\n' ' '"
# What --metrics asks for is printed; --limit chooses at random and says so; nothing is ignored in silence.
expect 0 'validation of this epoch: top-k:2 [01][.][0-9]+, f-beta:beta=0.5 [01][.]' \
    "$skive" train mlp:8 $small --metrics 'top-k:2;f-beta:beta=0.5' -o s.onnx
expect 0 'a random choice .--seed.' "$skive" run a.onnx --data $data --limit 5 -o y.npy
expect 0 'row i of each output is sample i' "$skive" run a.onnx --data $data -o y.npy
expect 0 '"samples"' "$skive" run a.onnx --data $data --limit 5 --json -o y.npy
expect 2 'are for activations' "$skive" sensitivity a.onnx --data $data --weights-only --samples 50
expect 2 'are for activations' "$skive" sensitivity a.onnx --data $data --activations none --calibration minmax
expect 2 'does not go with --teacher' "$skive" distill --mutual 2 --teacher a.onnx --student mlp:12 $small -o s.onnx
expect 2 'name a built-in network' "$skive" distill --mutual 2 --student a.onnx $small -o s.onnx
expect 2 'exit-weight needs --exits' "$skive" distill --self 2 --exit-weight 1 --student mlp:12 $small -o s.onnx
expect 2 'does not go with --self' "$skive" distill --exits auto --self 2 --student mlp:12 $small -o s.onnx
# No input is overwritten, and no two outputs go to one file.
cp a.onnx kept.onnx
perl -e 'print "a,b,y\n"; printf "%d,%d,%d\n", $_ % 7, $_ % 5, $_ % 3 for 1 .. 99' >more.csv
cp more.csv kept.csv
for o in "--teacher a.onnx --teacher b.onnx" "--teacher a.onnx:0.7 --teacher b.onnx:0.3" "--teacher b.onnx --teacher ./a.onnx:2"; do
    expect 2 'output would overwrite the teacher, a.onnx' "$skive" distill $o --student mlp:12 $small -o a.onnx
    one_line
done
expect 2 'log would overwrite the teacher' "$skive" distill $both $small --log a.onnx -o s.onnx
expect 2 'cache would overwrite the teacher' "$skive" distill $both $small --cache a.onnx -o s.onnx
expect 2 'log would overwrite the student' "$skive" distill --teacher b.onnx --student a.onnx $small --log a.onnx -o s.onnx
expect 2 'more.csv is a file of the data set' \
    "$skive" distill --teacher a.onnx --student mlp:12 $small --unlabelled csv:more.csv,label=y -o more.csv
expect 2 'output and --cache name the same file' \
    "$skive" distill --teacher a.onnx --student mlp:12 $small --cache s.onnx -o s.onnx
expect 2 'log and --cache name the same file' \
    "$skive" distill --teacher a.onnx --student mlp:12 $small --log l.csv --cache l.csv -o s.onnx
expect 2 'checkpoint and --cache name the same file' \
    "$skive" distill --teacher a.onnx --student mlp:12 $small --checkpoint c.ck --cache ./c.ck -o s.onnx
expect 0 '' cmp a.onnx kept.onnx
expect 0 '' cmp more.csv kept.csv
# Where the targets are values, nothing softens scores.
perl -e 'print "a,b,y\n"; printf "%g,%g,%g\n", $_ % 7, $_ % 5, 0.3 * ($_ % 7) - $_ % 5 for 1 .. 200' >v.csv
values="--data csv:v.csv,label=y --targets float --epochs 1"
expect 0 'wrote' "$skive" train mlp:8 $values -q -o v.onnx
expect 2 'the targets are values; leave it out' "$skive" distill --teacher v.onnx --student mlp:4 $values -T 2 -o s.onnx
expect 2 "the targets are values; take 'logits'" "$skive" distill --teacher v.onnx --student mlp:4 $values --term kl -o s.onnx
# A node's name stands for its first output.
expect 0 'wrote' "$skive" distill --teacher a.onnx --student mlp:12 $small --term hint:student=fc1,teacher=fc1 -o s.onnx
# In the help, within 80 columns.
COLUMNS=80 expect 0 '.-term' "$skive" distill --help
cp out.txt help.txt
checks=$((checks + 1))
awk 'length($0) > 80 { exit 1 }' help.txt || { echo "FAIL: a line over 80 columns"; failures=$((failures + 1)); }
finish
