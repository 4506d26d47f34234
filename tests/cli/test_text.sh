#!/bin/bash
# Text on the command line: the vocabulary travels with the model; folders, lines and tables; a model with a mask beside
# the tokens.
. "$(dirname "$0")/common.sh"

mkdir -p lines files/good files/bad later
perl -e 'for my $i (0 .. 119) { my $w = ("fine", "great", "nice")[$i % 3]; my $v = ("dull", "poor", "awful")[$i % 3];
    open my $g, ">>", "lines/good.txt"; print $g "a $w film ", ("indeed", "again")[$i % 2], "\n";
    open my $b, ">>", "lines/bad.txt"; print $b "a $v film ", ("indeed", "again")[$i % 2], "\n"; }'
for i in 1 2 3 4 5 6; do
    sed -n "${i}p" lines/good.txt > files/good/$i.txt
    sed -n "${i}p" lines/bad.txt > files/bad/$i.txt
done
cp lines/*.txt later
echo 'a marvellous film' >> later/good.txt
printf 'sort,words\ngood,"a nice, nice film"\nbad,a poor film\n' > table.csv
printf 'x\nna\xefve\n' > later2.txt
mkdir -p latin; cp later2.txt latin/bad.txt; echo good > latin/good.txt

expect 0 '12 tokens \(word\), of 10 different ones in 220 training texts' "$skive" train mlp:16 -d text:lines,length=8 -e 20 -b 16 --lr 0.02 --threads 1 -o m.onnx
expect 0 'accuracy +[5-9]' "$skive" eval m.onnx -d text:lines
expect 0 "1 of 963 tokens \(0.1 %\) are unknown to the vocabulary; the first is 'marvellous'" "$skive" eval m.onnx -d text:later
expect 0 'accuracy +' "$skive" eval m.onnx -d text:files
expect 0 'accuracy +' "$skive" eval m.onnx -d text:table.csv,column=words,label=sort
expect 2 'name the column of the texts' "$skive" eval m.onnx -d text:table.csv
one_line
expect 2 'the model was made with tokens=word' "$skive" eval m.onnx -d text:lines,tokens=byte
expect 9 'latin/bad.txt: line 2: is not UTF-8 \(byte 4 of the file is 0xef\)' "$skive" eval m.onnx -d text:latin
one_line
expect 0 'wrote' "$skive" quantize m.onnx -d text:lines -o q.onnx
expect 0 'accuracy +' "$skive" eval q.onnx -d text:lines
expect 0 'wrote' "$skive" pack m.onnx -o m.skv
expect 0 'accuracy +[5-9]' "$skive" eval m.skv -d text:lines
expect 0 '256 bytes and 36 pairs' "$skive" train mlp:8 -d 'text:lines,tokens=bpe:size=300,length=20' -e 1 -o b.onnx
expect 0 'samples of text:lines' "$skive" compare m.onnx b.onnx -d text:lines --seconds 0.01
expect 9 'takes other samples than the data set makes' "$skive" distill --teacher m.onnx --student b.onnx -d text:lines -e 1 -o d.onnx
expect 0 'wrote' "$skive" train mlp:8 -d 'text:lines,tokens=word:size=9\,lower,length=8' -e 1 -o l.onnx
expect 0 '8 tokens of a text, of 12 \(word\)' "$skive" inspect m.onnx
others_read_them
no_leftovers
finish
