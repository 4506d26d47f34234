#!/bin/bash
# skive data: the summary and its problems, the contact sheet, and what is refused.
. "$(dirname "$0")/common.sh"

# A grey picture as BMP: WIDTH HEIGHT VALUE > file
bmp() {
    perl -e 'my ($w, $h, $v) = @ARGV; my $line = pack("C*", map { ($v + $_) % 256 } 1 .. $w); $line .= "\0" while length($line) % 4;
        my $body = pack("VVVvvVVVVVV", 40, $w, $h, 1, 8, 0, 0, 0, 0, 256, 0) . join("", map { pack("CCCC", $_, $_, $_, 0) } 0 .. 255);
        print "BM", pack("VVV", 14 + length($body) + length($line) * $h, 0, 14 + length($body)), $body, $line x $h;' "$@"
}
for part in train val test; do
    mkdir -p "set/$part/dark" "set/$part/light"
    offset=0
    [ $part = test ] && offset=40
    [ $part = val ] && offset=1
    for i in 1 2 3 4 5 6 7 8; do
        bmp 8 6 $((i * 4 + offset)) > "set/$part/dark/$i.bmp"
        bmp 8 6 $((200 - i * 4 - offset)) > "set/$part/light/$i.bmp"
    done
done
expect 0 'no problems found' "$skive" data folder:set
expect 0 '^1 light +8 +8 +8' "$skive" data folder:set
expect 0 '"problems": \[\]' "$skive" data folder:set --json
expect 0 'no problems' "$skive" data folder:set --strict
cp set/train/dark/1.bmp set/test/light/copy.bmp
head -c 400 set/test/dark/2.bmp > set/test/dark/bad.bmp
expect 0 'damaged: 1 sample of test cannot be read; the first: .*bad.bmp' "$skive" data folder:set
expect 0 'contradictions: 1 sample ' "$skive" data folder:set
expect 9 'duplicates: 1 sample ' "$skive" data folder:set --strict
one_line
expect 9 '"kind": "duplicates"' "$skive" data folder:set --strict --json
expect 0 'wrote sheet.png' "$skive" data folder:set -o sheet.png --samples 6 --columns 3 --augment crop:1,flip,color:0.4
head -c 8 sheet.png | grep -q PNG || { echo "FAIL: no PNG"; failures=$((failures + 1)); }
expect 0 '' "$skive" data folder:set -o same.png --samples 6 --columns 3 --augment crop:1,flip,color:0.4 --no-summary
expect 0 '' cmp sheet.png same.png
expect 0 '' "$skive" data folder:set -o other.png --samples 6 --columns 3 --augment crop:1,flip,color:0.4 --no-summary --epoch 1
expect 1 '' cmp sheet.png other.png
expect 0 'wrote all.npy' "$skive" data folder:set --array all.npy --samples 4 --in-order --no-summary --split test
expect 0 '' test "$(stat -c %s all.npy)" -eq $((128 + 4 * 8 * 6 * 4))
expect 2 "augment is for samples that are written" "$skive" data folder:set --augment flip
expect 2 "no transform 'flap'; .*did you mean|no transform 'flap'" "$skive" data folder:set -o x.png --augment flap
expect 2 "split: 'all' is not" "$skive" data folder:set -o x.png --split all
expect 4 'none' "$skive" data folder:set -o none/x.png
expect 13 'no such kind of data set' "$skive" data nope
absent x.png
no_leftovers
finish
