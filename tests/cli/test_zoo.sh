#!/usr/bin/env bash
# skive zoo: the list, one network and its options, files, and what is refused.
. "$(dirname "$0")/common.sh"

export COLUMNS=80
expect 0 'resnet20  *3x32x32  *10  *272,474  *40.8 M' "$skive" zoo
expect 0 '' awk 'length($0) > 80 { exit 1 }' out.txt
expect 0 '"name": "efficientnet-b0"' "$skive" zoo --json
expect 0 'tokens, output 4; 1,[0-9,]* parameters' "$skive" zoo lstm:layers=2,bidirectional --vocabulary 5000 --sample 200 --classes 4 -o lstm.onnx
expect 0 'tokens  int64\[N,200\]' "$skive" inspect lstm.onnx
expect 0 'heads of attention' "$skive" zoo vit:dim=64,depth=2,heads=4,patch=4 --sample 1x28x28 --classes 10 -o vit.onnx
"$skive" zoo vit:dim=64,depth=2,heads=4,patch=4 --sample 1,28,28 --classes 10 -o again.onnx >/dev/null
expect 0 '' cmp vit.onnx again.onnx
expect 2 'not a list of dimensions' "$skive" zoo vit --sample 1,x
one_line
expect 2 'needs the name of a network' "$skive" zoo --classes 3
one_line
expect 8 'patches of 4' "$skive" zoo vit --sample 1,30,30
one_line
expect 13 'no built-in network' "$skive" zoo nope
one_line

# ---- texts: the vocabulary comes from the data, and the model reads them again without flags ----
mkdir texts
for i in $(seq 40); do
    echo "good $i fine day" >>texts/up.txt
    echo "bad $i sad night today" >>texts/down.txt
done
expect 0 'wrote' "$skive" train lstm:0.1,embed=8 -d text:texts,length=6 -e 2 -b 16 --threads 1 -o text.onnx
expect 0 'tokens  int64\[N,6\]' "$skive" inspect text.onnx
expect 0 'accuracy' "$skive" eval text.onnx -d text:texts
expect 0 'takes the numbers of the tokens as values' "$skive" train mlp:4 -d text:texts,length=6 -e 1 -b 16 -o numbers.onnx
finish
