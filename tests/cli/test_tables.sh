#!/bin/bash
# Tables on the command line: training, evaluation of another file later without options, and every other command that
# reads data.
. "$(dirname "$0")/common.sh"

# Kind and colour decide the class; size is the value to fit.
perl -e 'print "id,size,colour,kind\n";
    for my $i (0 .. 239) { my $c = ("red", "blue", "green")[$i % 3]; my $s = ($i * 37 % 100) / 10;
        printf "s%d,%.1f,%s,%s\n", $i, $s, $c, $c eq "red" ? "rose" : $s > 5 ? "iris" : "aster"; }' > train.csv
perl -ne 'my @c = split /,/; chomp $c[3]; print join(";", @c[3, 2, 1]), "\r\n"' train.csv > later.csv
printf 'kind,colour,size\nrose,red,1\niris,violet,9\n' > odd.csv
printf 'kind,colour,size\nrose,red,1\ntulip,red,9\n' > class.csv
printf 'kind,colour,size\nrose,red,1\niris,blue,\n' > gap.csv

expect 0 '3 classes: aster \(82\), iris \(78\), rose \(80\)' "$skive" train mlp:16 -d csv:train.csv,label=kind,without=id -e 30 -b 16 --lr 0.05 --threads 1 -o m.onnx
expect 0 'accuracy +9[0-9]|accuracy +100' "$skive" eval m.onnx -d csv:later.csv
expect 0 'separated by semicolons' "$skive" eval m.onnx -d csv:later.csv
expect 0 "column 'colour': 1 cell has a category that the training rows do not have" "$skive" eval m.onnx -d csv:odd.csv
expect 9 "class.csv: row 2 \(line 3\), column 'kind': there is no class 'tulip'; the classes are aster, iris, rose" "$skive" eval m.onnx -d csv:class.csv
one_line
expect 9 "gap.csv: row 2 \(line 3\), column 'size': the cell is empty" "$skive" eval m.onnx -d csv:gap.csv
expect 0 'gaps are filled' "$skive" eval m.onnx -d csv:gap.csv,gaps=mean
expect 0 '1 row with gaps is left out' "$skive" eval m.onnx -d csv:gap.csv,gaps=drop
expect 2 'the model was made with without=id, not with columns=size' "$skive" eval m.onnx -d csv:later.csv,columns=size
expect 0 'wrote' "$skive" quantize m.onnx -d csv:later.csv -o q.onnx
expect 0 'accuracy +' "$skive" eval q.onnx -d csv:later.csv
expect 0 'wrote' "$skive" prune m.onnx -d csv:train.csv,label=kind,without=id --sparsity 0.5 -o p.onnx
expect 0 'wrote' "$skive" distill --teacher m.onnx --student p.onnx -d csv:train.csv -e 1 -o d.onnx
expect 0 'wrote' "$skive" pack m.onnx -o m.skv
expect 0 'accuracy +9[0-9]|accuracy +100' "$skive" eval m.skv -d csv:later.csv
expect 0 'samples of csv:later.csv' "$skive" compare m.onnx q.onnx m.skv -d csv:later.csv --seconds 0.01
expect 0 'regression, values from 0 to 9.9' "$skive" train mlp:8 -d csv:train.csv,label=size,without=id -e 5 --threads 1 -o r.onnx
expect 0 'R2|RMSE|rmse|error' "$skive" eval r.onnx -d csv:later.csv
expect 0 'wrote' "$skive" train mlp:8 -d csv:train.csv,label=kind,columns=size,colour,encode=integer -e 1 -o c.onnx
expect 0 'samples of csv:later.csv' "$skive" compare m.onnx c.onnx -d csv:later.csv --seconds 0.01
expect 9 'takes other samples than the data set makes' "$skive" distill --teacher m.onnx --student c.onnx -d csv:train.csv -e 1 -o d.onnx
expect 0 'rows of a table: size, colour \(3 categories\); label .kind.: 3 classes: aster, iris, rose' "$skive" inspect m.onnx
expect 0 'size, colour \(3 categories\)' "$skive" inspect m.onnx --json
others_read_them
no_leftovers
finish
