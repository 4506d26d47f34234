#!/bin/bash
# Several students of a task each in one run, and students that become integers while they are taught.
. "$(dirname "$0")/common.sh"
perl "$here/heads.pl" || exit 1
perl -MIO::Compress::Zip=zip -e 'zip [@ARGV[1 .. $#ARGV]] => $ARGV[0] or exit 1' two.npz x.npy classes.npy odd.npy || exit 1
both=npz:two.npz,inputs=x,labels=classes,odd
small="-e 2 --batch 20"
pair="--student classes=mlp:8 --student odd=mlp:6"
expect 0 'wrote' "$skive" train tasks.onnx -d $both -e 6 --batch 20 -q -o teacher.onnx
expect 0 "'odd' of the student learns from output 'odd'" "$skive" distill --teacher teacher.onnx $pair -d $both $small \
    --teacher-head classes=classes --teacher-head odd=odd -o s.onnx
cp out.txt told.txt
expect 0 '^classes +[0-9.]+ +s-classes.onnx' cat told.txt
expect 0 '^odd +[0-9.]+ +s-odd.onnx' cat told.txt
absent s.onnx
expect 0 'accuracy' "$skive" eval s-classes.onnx -d npz:two.npz,inputs=x,labels=classes
expect 0 'accuracy' "$skive" eval s-odd.onnx -d npz:two.npz,inputs=x,labels=odd
# Each student is that of a run of its own.
expect 0 'wrote' "$skive" distill --teacher teacher.onnx --student mlp:8 -d npz:two.npz,inputs=x,labels=classes $small \
    --teacher-head classes --no-validation -o alone.onnx
expect 0 'wrote' "$skive" distill --teacher teacher.onnx $pair -d $both $small --no-validation -o t.onnx
expect 0 'accuracy' "$skive" eval alone.onnx -d npz:two.npz,inputs=x,labels=classes --json
sed -n '/"accuracy"/p;/"loss"/p' out.txt >alone.txt
expect 0 'accuracy' "$skive" eval t-classes.onnx -d npz:two.npz,inputs=x,labels=classes --json
sed -n '/"accuracy"/p;/"loss"/p' out.txt >together.txt
expect 0 '' cmp alone.txt together.txt
# A teacher of each task.
expect 0 'wrote' "$skive" train mlp:9 -d npz:two.npz,inputs=x,labels=classes $small -q -o one.onnx
expect 0 'wrote' "$skive" train mlp:9 -d npz:two.npz,inputs=x,labels=odd $small -q -o two.onnx
expect 0 '"students"' "$skive" distill --teacher one.onnx --teacher two.onnx $pair -d $both $small \
    --teacher-head classes=1: --teacher-head odd=2: --json -q -o s.onnx
expect 0 '"task": "odd"' "$skive" distill --teacher teacher.onnx $pair -d $both $small --dry-run --json -q
rm -f s-*.onnx
expect 2 'write TASK=NETWORK' "$skive" distill --teacher teacher.onnx --student mlp:8 --student odd=mlp:6 -d $both $small -o s.onnx
one_line
expect 2 "two students have the task 'odd'" \
    "$skive" distill --teacher teacher.onnx --student odd=mlp:8 --student odd=mlp:6 -d $both $small -o s.onnx
one_line
expect 13 "have no target 'kind'; they have 'classes', 'odd'" \
    "$skive" distill --teacher teacher.onnx --student kind=mlp:8 --student odd=mlp:6 -d $both $small -o s.onnx
one_line
expect 2 'self is of one student' "$skive" distill --teacher teacher.onnx $pair -d $both $small --self 2 -o s.onnx
expect 2 'one value of -T' "$skive" distill --teacher teacher.onnx $pair -d $both $small -T 2,4 -o s.onnx
expect 2 'standard output is one' "$skive" distill --teacher teacher.onnx $pair -d $both $small -o -
expect 2 'relation:student=VALUE' "$skive" distill --teacher teacher.onnx $pair -d $both $small --term relation -o s.onnx
absent s-classes.onnx
# Rounding, zeros, soft labels and a term on values in one run.
make_data
one="-d $data --batch 50"
expect 0 'wrote' "$skive" train mlp:24 $one -e 2 -q -o big.onnx
expect 0 'wrote' "$skive" train mlp:16 $one -e 2 -q -o dense.onnx
expect 0 'wrote' "$skive" prune dense.onnx --sparsity 0.5 -o pruned.onnx
expect 0 'quantized [0-9]+ nodes' "$skive" distill --teacher big.onnx --student pruned.onnx --qat weights=int4,activations=uint4 \
    --term relation $one -e 1 --lr 0.005 -o q.onnx
cp out.txt told.txt
expect 0 '[45][0-9]\.[0-9] %' cat told.txt # zeros
expect 0 'accuracy' "$skive" eval q.onnx -d $data
expect 0 '"quantized"' "$skive" distill --teacher big.onnx --student pruned.onnx --qat auto $one -e 1 --json -q -o q.onnx
expect 0 '"qat": "auto"' "$skive" distill --teacher big.onnx --student pruned.onnx --qat auto $one -e 1 --dry-run --json -q
rm -f q.onnx
expect 2 'train the student first' "$skive" distill --teacher big.onnx --student mlp:16 --qat auto $one -o q.onnx
one_line
expect 2 'is not KEY=VALUE' "$skive" distill --teacher big.onnx --student pruned.onnx --qat int4 $one -o q.onnx
expect 13 "no option 'quantize.wieghts'; did you mean" \
    "$skive" distill --teacher big.onnx --student pruned.onnx --qat wieghts=int4 $one -o q.onnx
expect 2 'that of the run' "$skive" distill --teacher big.onnx --student pruned.onnx --qat temperature=2 $one -o q.onnx
expect 2 'self does not go with --qat' "$skive" distill --teacher big.onnx --student pruned.onnx --qat auto --self 2 $one -o q.onnx
absent q.onnx
no_leftovers
finish
