#!/bin/bash
# Teachers that know a part of the classes, and outputs of teachers that are named for what the student learns.
. "$(dirname "$0")/common.sh"
perl "$here/heads.pl" || exit 1
classes=npy:x.npy,classes.npy
small="-e 1 --batch 20"
# One output of a teacher of two.
expect 0 "'logits' of the student learns from output 'other', logits of rivals.onnx" \
    "$skive" distill --teacher rivals.onnx --student mlp:8 -d $classes $small --teacher-head other -o s.onnx
expect 0 '' "$skive" distill --teacher rivals.onnx --student mlp:8 -d $classes $small --teacher-head logits=1:other -o t.onnx
expect 0 '' cmp s.onnx t.onnx
expect 0 '"teacher-heads": "z"' \
    "$skive" distill --teacher rivals.onnx --student mlp:8 -d $classes $small --teacher-head z --json -q -o s.onnx
expect 0 '"teacher-heads": "z"' \
    "$skive" distill --teacher rivals.onnx --student mlp:8 -d $classes $small --teacher-head z --dry-run --json -q
rm -f s.onnx
expect 13 "no teacher has an output 'zz'; rivals.onnx has 'z'" \
    "$skive" distill --teacher rivals.onnx --student mlp:8 -d $classes $small --teacher-head zz -o s.onnx
one_line
expect 13 "no task 'kind'; the student learns 'logits'" \
    "$skive" distill --teacher rivals.onnx --student mlp:8 -d $classes $small --teacher-head kind=z -o s.onnx
one_line
expect 8 "two.onnx, output 'embedding' for 'logits': the teacher gives 4 scores, but the student 3" \
    "$skive" distill --teacher two.onnx --student mlp:8 -d $classes $small --teacher-head embedding -o s.onnx
one_line
expect 2 "teacher-head is empty" "$skive" distill --teacher rivals.onnx --student mlp:8 -d $classes $small --teacher-head '' -o s.onnx
expect 2 'of a --teacher, and there is none' "$skive" distill --self 1 --student mlp:8 -d $classes $small --teacher-head z -o s.onnx
expect 2 'is of a --teacher, and there is none' "$skive" distill --mutual 2 --student mlp:8 -d $classes $small --teacher-classes known -o s.onnx
absent s.onnx
# Several teachers.
expect 0 'wrote' "$skive" train mlp:8 -d npy:x.npy,numbers.npy $small -o number.onnx
expect 13 "no task 'c'" "$skive" distill --teacher plain.onnx --teacher number.onnx --student mlp:8 -d $classes $small \
    --teacher-head logits=1: --teacher-head c=2: -o s.onnx
# A teacher of two of three classes.
awk 'BEGIN { srand(4); print "a,b,kind" > "all.csv"; print "a,b,kind" > "some.csv"
    for (i = 0; i < 240; i++) { a = rand(); b = rand(); k = a > 0.6 ? "red" : b > 0.5 ? "green" : "blue"
        print a "," b "," k > "all.csv"; if (k != "green") print a "," b "," k > "some.csv" } }'
expect 0 'wrote' "$skive" train mlp:8 -d csv:some.csv,label=kind $small -o part.onnx
expect 9 "no class|does not know" "$skive" distill --teacher part.onnx --student mlp:8 -d csv:all.csv,label=kind $small -o s.onnx
absent s.onnx
expect 0 'part.onnx knows 2 of the 3 classes.* it does not know green' \
    "$skive" distill --teacher part.onnx --student mlp:8 -d csv:all.csv,label=kind $small --teacher-classes known -o s.onnx
expect 0 'samples of classes that no teacher knows learn from their labels alone' \
    "$skive" distill --teacher part.onnx --student mlp:8 -d csv:all.csv,label=kind $small --teacher-classes known -o s.onnx
printf 'blue\nred\n' >names.txt
expect 0 '' "$skive" distill --teacher part.onnx --student mlp:8 -d csv:all.csv,label=kind $small --teacher-classes names.txt -o t.onnx
expect 0 '' cmp s.onnx t.onnx
printf 'blue\ncloud\n' >odd.txt
expect 9 'knows 1 of the 3 classes' \
    "$skive" distill --teacher part.onnx --student mlp:8 -d csv:all.csv,label=kind $small --teacher-classes odd.txt -o u.onnx
one_line
expect 2 'there is 1 teacher' \
    "$skive" distill --teacher part.onnx --student mlp:8 -d csv:all.csv,label=kind $small --teacher-classes 2:names.txt -o u.onnx
# Answers on disk are of these classes.
expect 0 'answers of 8 bytes' "$skive" distill --teacher part.onnx --student mlp:8 -d csv:all.csv,label=kind $small \
    --teacher-classes known --cache answers -o u.onnx
expect 0 'the teacher ran 0 times' "$skive" distill --teacher part.onnx --student mlp:8 -d csv:all.csv,label=kind $small \
    --teacher-classes known --cache answers -o t.onnx
expect 0 '' cmp u.onnx t.onnx
no_leftovers
finish
