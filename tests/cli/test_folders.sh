#!/bin/bash
# Photo folders on the command line: sizes, parts, classes by name, and what is told about them.
. "$(dirname "$0")/common.sh"

# A grey picture as BMP: WIDTH HEIGHT VALUE > file
bmp() {
    perl -e 'my ($w, $h, $v) = @ARGV; my $line = pack("C*", ($v) x $w); $line .= "\0" while length($line) % 4;
        my $body = pack("VVVvvVVVVVV", 40, $w, $h, 1, 8, 0, 0, 0, 0, 256, 0) . join("", map { pack("CCCC", $_, $_, $_, 0) } 0 .. 255);
        print "BM", pack("VVV", 14 + length($body) + length($line) * $h, 0, 14 + length($body)), $body, $line x $h;' "$@"
}

for part in train val; do
    mkdir -p "set/$part/dark" "set/$part/light"
    for i in 1 2 3 4 5 6 7 8; do
        bmp 8 $((6 + i % 2 * 2)) $((i * 9)) > "set/$part/dark/$i.bmp"
        bmp 8 $((6 + i % 2 * 2)) $((255 - i * 9)) > "set/$part/light/$i.BMP"
    done
done
echo text > set/train/dark/notes.txt
mkdir -p light/light none
cp set/val/light/* light/light
mkdir -p other/dark other/green
cp set/val/dark/* other/dark
cp set/val/dark/* other/green

expect 9 'bmp: has 6x8 pixels .* --resize HxW' "$skive" train mlp:4 -d folder:set -o m.onnx
expect 2 "is not HxW" "$skive" train mlp:4 -d folder:set --resize 8x -o m.onnx
expect 0 'skipped: 1 file of other types \(1 .txt' "$skive" train mlp:4 -d folder:set --resize 8 -e 20 -b 4 --lr 0.05 -o m.onnx
expect 0 'set/val contains the validation samples' "$skive" train mlp:4 -d folder:set --resize 8x8 -e 1 -o n.onnx
expect 9 'no test/.*--split validation uses val/' "$skive" eval m.onnx -d folder:set
expect 0 'resized to 8x8 .*size of the model.s input' "$skive" eval m.onnx -d folder:set --split validation
expect 0 'accuracy +100' "$skive" eval m.onnx -d folder:set --split validation
expect 0 '16 samples of folder:set \(validation\)' "$skive" compare m.onnx n.onnx -d folder:set --split validation --seconds 0.01
expect 0 'its classes \(light\) are matched by name' "$skive" eval m.onnx -d folder:light
expect 0 'accuracy +100' "$skive" eval m.onnx -d folder:light
expect 0 'accuracy +0.00' "$skive" eval m.onnx -d folder:light --class-order
expect 9 "the model has no class 'green'; the data set has dark, green; the model has dark, light" "$skive" eval m.onnx -d folder:other
expect 0 'wrote' "$skive" quantize m.onnx -d folder:light/light -o q.onnx
expect 0 'accuracy +100' "$skive" eval q.onnx -d folder:light
expect 0 'wrote' "$skive" pack m.onnx -o m.skv
expect 0 'its classes \(light\) are matched by name' "$skive" eval m.skv -d folder:light
expect 9 'it needs one sub-folder per class' "$skive" eval m.onnx -d folder:none
expect 0 'wrote' "$skive" train m.onnx --classes 2 -d folder:other -e 1 -o o.onnx
mkdir -p renamed
cp -r set/val/dark renamed/black
cp -r set/val/light renamed/white
expect 0 'wrote' "$skive" train mlp:4 -d folder:renamed --resize 8 -e 1 -o t.onnx
expect 9 "'dark', which the teacher does not know" "$skive" prune m.onnx --teacher t.onnx --distill-alpha 0.5 -d folder:set --sparsity 0.5 --finetune 1 -o p.onnx
expect 0 "class 0 is 'dark', but in the teacher it is 'black'" "$skive" prune m.onnx --teacher t.onnx --distill-alpha 0.5 -d folder:set --class-order --sparsity 0.5 --finetune 1 -o p.onnx
others_read_them
no_leftovers
finish
