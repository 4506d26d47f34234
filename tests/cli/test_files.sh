#!/bin/bash
# Files that a user names: what is no regular file is refused at once, two outputs never share a file, links of a download cache are
# followed, what a killed run left is cleared.
. "$(dirname "$0")/common.sh"
make_data

"$skive" train mlp:8 --data $data --epochs 1 --batch 32 -q -o model.onnx >/dev/null || exit 1

# Pipes and devices
mkfifo pipe
for file in pipe /dev/zero; do
    expect 4 'not a regular file' timeout 20 "$skive" inspect $file
    expect 4 'not a regular file' timeout 20 "$skive" eval model.onnx --data npy:$file,$file
    expect 4 'not a regular file' timeout 20 "$skive" train mlp:8 --data $data --epochs 1 --checkpoint $file -o new.onnx
    expect 4 'not a regular file' timeout 20 "$skive" run model.onnx -i $file -o y.npy
done

# One file for two
expect 2 'name the same file' timeout 20 "$skive" train mlp:8 --data $data --epochs 1 --checkpoint ./new.onnx -o new.onnx
ln -s model.onnx link.onnx
expect 2 'which is an input' timeout 20 "$skive" compare model.onnx link.onnx --report link.onnx
[ -L link.onnx ] || { echo 'FAIL: the link is gone'; failures=$((failures + 1)); }

# A folder's name of any length
long=$(printf 'd%.0s' $(seq 200))
deep=.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28; do deep=$deep/$long; done
expect 4 'cannot write' timeout 20 "$skive" simplify model.onnx -o $deep/m.onnx

# What was left by a process that is gone
touch .model.onnx.skive-00112233445566aa.tmp
"$skive" simplify model.onnx -o other.onnx >/dev/null || { echo 'FAIL: simplify'; failures=$((failures + 1)); }
[ -e .model.onnx.skive-00112233445566aa.tmp ] && { echo 'FAIL: left-over file stays'; failures=$((failures + 1)); }

# A model x -> "a/b", "a_b"; both names would be one file's.
perl -e '
    sub n { my $n = shift; $n < 128 ? chr $n : chr($n & 127 | 128) . chr($n >> 7) }
    sub f { chr($_[0] << 3 | 2) . n(length $_[1]) . $_[1] }
    sub v { chr($_[0] << 3) . n($_[1]) }
    sub value { f(1, $_[0]) . f(2, f(1, v(1, 1) . f(2, f(1, v(1, 4))))) }
    my $g = f(1, f(1, "x") . f(2, "a/b") . f(4, "Relu")) . f(1, f(1, "x") . f(2, "a_b") . f(4, "Neg")) . f(2, "g") .
        f(11, value("x")) . f(12, value("a/b")) . f(12, value("a_b"));
    binmode STDOUT;
    print v(1, 8), f(7, $g), f(8, v(2, 17));' >two.onnx
perl -e 'my $h = "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (4,), }"; $h =~ tr/"/\x27/; $h .= " " x (117 - length $h) . "\n";
    binmode STDOUT; print "\x93NUMPY\x01\x00", pack("v", length $h), $h, pack("f<4", 1, -2, 3, -4);' >x.npy
mkdir out
expect 0 "note: output 'a_b' is written to out/a_b_2.npy" "$skive" run two.onnx -i x.npy --output-dir out
cmp -s out/a_b.npy out/a_b_2.npy && { echo 'FAIL: two outputs, one content'; failures=$((failures + 1)); }
[ "$(ls out | wc -l)" -eq 2 ] || { echo "FAIL: out holds $(ls out)"; failures=$((failures + 1)); }
expect 2 'two outputs cannot be written to one file' "$skive" run two.onnx -i x.npy -o y.npy -o ./y.npy
ln -s y.npy z.npy
: >y.npy
expect 2 'two outputs cannot be written to one file' "$skive" run two.onnx -i x.npy -o y.npy -o z.npy
expect 2 'would be overwritten' "$skive" run two.onnx -i x.npy -o ./x.npy
expect 4 'cannot write' "$skive" run two.onnx -i x.npy --output-dir $deep
rm -f y.npy z.npy
expect 4 'no folder' "$skive" run two.onnx -i x.npy -o y.npy -o none/z.npy
[ -e y.npy ] && { echo 'FAIL: one output of two is left'; failures=$((failures + 1)); }

# The limit on memory
expect 12 'option --memory' "$skive" inspect model.onnx --memory 10K
expect 0 '' "$skive" inspect model.onnx --memory 1GiB
expect 2 'is not a size' "$skive" inspect model.onnx --memory 5X

finish
