#!/bin/bash
# What the command says: nearest names, bounds that are named, text that fits the screen and stays UTF-8, output that cannot be written.
. "$(dirname "$0")/common.sh"
make_data
"$skive" train mlp:8 --data $data --epochs 1 --batch 32 -q -o model.onnx >/dev/null || exit 1

# Names that nobody knows: the nearest, and all there are.
expect 2 "no subcommand 'trian' \(did you mean train\?\)" "$skive" trian
expect 2 "no subcommand 'prun' \(did you mean prune\?\)" "$skive" help prun
expect 2 "no option '--dta' \(did you mean --data\?\)" "$skive" eval model.onnx --dta $data
expect 2 "no option '--xyzzy'; see" "$skive" eval model.onnx --xyzzy
expect 2 "did you mean 'adam'\? There are: sgd, adam, adamw, rmsprop, lamb, lion" "$skive" train mlp:4 --data $data --optimizer adma -o o.onnx
expect 2 "did you mean 'cosine'\? There are: constant" "$skive" train mlp:4 --data $data --schedule cosin -o o.onnx
expect 2 'There are: .*lamp|there are: .*lamp' "$skive" prune model.onnx --criterion foo --sparsity 0.5 -o o.onnx
expect 2 "there are: .*minmax" "$skive" quantize model.onnx --data $data --calibration foo -o o.onnx
expect 2 "did you mean 'density'\?" "$skive" share model.onnx --init desnity -o o.onnx
expect 2 "did you mean 'int8'\? There are: int8" "$skive" pack model.onnx --weights int9 -o o.skv
expect 2 "did you mean 'huffman'\?" "$skive" pack model.onnx --coder hufman -o o.skv
expect 13 "did you mean 'lenet5'\?" "$skive" train lenet --data $data -o o.onnx
expect 13 'write folder:\.' "$skive" eval model.onnx --data .

expect 2 "named 'fc1.weigth'; did you mean 'fc1.weight'\? There are: 'fc1.weight', 'fc2.weight'" "$skive" prune model.onnx --sparsity 0.5 --skip fc1.weigth -o o.onnx
expect 13 "no parameter 'fc1.weigh'; did you mean 'fc1.weight'\? There are: .*'fc2.weight'" "$skive" share model.onnx --only fc1.weigh -o o.onnx
expect 13 "no parameter 'xyzzy'; there are: 'fc1" "$skive" share model.onnx --tie xyzzy=fc1.weight -o o.onnx
expect 2 "no parameter 'fc2.wieght'; did you mean 'fc2.weight'" "$skive" pack model.onnx --param fc2.wieght=int8 -o o.skv
expect 2 "no input 'inptu'; did you mean 'input'" "$skive" bench model.onnx --shape inptu=1,1,8,8
expect 2 "no input 'inptu'; did you mean 'input'\? There are: 'input'" "$skive" run model.onnx --input inptu=x.npy -o y.npy
expect 2 "no output 'logit'; did you mean 'logits'\? There are: 'logits'" "$skive" run model.onnx --input x.npy -o logit=y.npy
expect 2 "one too many; the model has 1 output" "$skive" run model.onnx --input x.npy -o y.npy -o z.npy
expect 2 "did you mean 'fold-constants'|there are: " "$skive" simplify model.onnx --passes fold-constant -o o.onnx

# Arguments that are missing or make no sense.
expect 2 'an argument is empty; expected MODEL' "$skive" inspect ''
expect 2 '1 argument is given, at least 2 needed' "$skive" compare model.onnx --data $data
expect 2 'a packed model is not an ONNX file; .* such as o.skv' "$skive" pack model.onnx -o o.onnx
expect 2 '--bits is 9; it must be between 1 and 8' "$skive" share model.onnx --bits 9 -o o.onnx
expect 4 '^skive inspect: \.: cannot read: Is a directory' "$skive" inspect .

expect 2 "unpack writes ONNX; use a name such as o.onnx" "$skive" unpack model.skv -o o.skv
expect 2 '--names has 1 name for 2 models' "$skive" compare model.onnx model.onnx --data $data --names a
expect 2 '--seconds is -1; it must be between 0' "$skive" compare model.onnx model.onnx --data $data --seconds -1
expect 2 'from 0 to below 1 \(default 0.9\)' "$skive" prune model.onnx --sparsity 50 -o o.onnx
expect 2 '--output is missing' "$skive" simplify model.onnx

# Bounds.
expect 2 '--threads is 4000; it must be between 1 and 1024' "$skive" inspect model.onnx -t 4000
expect 2 '--seconds is -1; it must be between 0' "$skive" bench model.onnx --seconds -1
expect 2 '--layer-floor is -1; it must be between 0 and 1' "$skive" prune model.onnx --sparsity 0.5 --layer-floor -1 -o o.onnx
expect 2 '--tolerance is -1' "$skive" simplify model.onnx --tolerance -1 -o o.onnx
expect 2 'SKIVE_ISA must be one of scalar' env SKIVE_ISA=nonsense "$skive" inspect model.onnx
expect 2 'SKIVE_ISA must be one of scalar' env SKIVE_ISA=nonsense "$skive" --version
one_line
foreign=neon
[ "$(uname -m)" = aarch64 ] && foreign=avx2
expect 2 "SKIVE_ISA asks for $foreign, which this CPU lacks" env SKIVE_ISA=$foreign "$skive" inspect model.onnx
absent o.onnx
absent o.skv

# Short options together.
expect 0 '^skive [0-9.]+$' "$skive" -V
expect 0 '' "$skive" bench model.onnx -qt1 --runs 1 --seconds 0
expect 2 "no option '-z' \(in '-qz'\)" "$skive" inspect -qz model.onnx
expect 2 '--threads needs a value' "$skive" inspect model.onnx -qt

# A refused model is named by its file.
perl "$here/onnx.pl" || exit 1
expect 6 '^skive prune: good.onnx: the model has no' "$skive" prune good.onnx --sparsity 0.5 -o o.onnx

# A full disk.
for arguments in --help --version -V 'prune --help' 'help eval' 'simplify --list' 'inspect model.onnx' 'help --man' 'help --bash'; do
    checks=$((checks + 1))
    # shellcheck disable=SC2086
    "$skive" $arguments >/dev/full 2>err.txt
    got=$?
    if [ $got -ne 4 ] || ! grep -q 'cannot write to standard output' err.txt; then
        echo "FAIL: status $got of 'skive $arguments' to a full disk"
        failures=$((failures + 1))
    fi
done

# Nothing is wider than the screen, and nothing is lost by that.
fits() {
    checks=$((checks + 1))
    if ! COLUMNS=$1 "${@:2}" >narrow.txt 2>err.txt; then
        echo "FAIL: ${*:2}"
        cat err.txt
        failures=$((failures + 1))
    fi
    cat err.txt >>narrow.txt
    if [ "$(wc -L <narrow.txt)" -gt "$1" ]; then
        echo "FAIL: wider than $1 columns: ${*:2}"
        awk -v most="$1" 'length > most' narrow.txt
        failures=$((failures + 1))
    fi
}
long=a_rather_long_name_for_a_model.onnx
cp model.onnx $long
for columns in 60 80; do
    fits $columns "$skive" inspect $long
    fits $columns "$skive" train mlp:8 --data $data --epochs 1 --batch 32 -o trained.onnx
    fits $columns "$skive" eval $long --data $data
    fits $columns "$skive" distill --teacher $long --student mlp:4 --data $data --epochs 1 --batch 32 -o student.onnx
    fits $columns "$skive" prune $long --sparsity 0.9 --data $data --finetune 1 -o pruned.onnx
    fits $columns "$skive" quantize $long --data $data --samples 16 -o int8.onnx --table
    fits $columns "$skive" compare $long int8.onnx --data $data --layers
    fits $columns "$skive" sensitivity $long --data $data --samples 16
    fits $columns "$skive" share $long --bits 2 -o shared.onnx
    fits $columns "$skive" share $long --hash 4 -o hashed.onnx
    fits $columns "$skive" simplify $long -o simple.onnx
    fits $columns "$skive" pack shared.onnx -o packed.skv
    fits $columns "$skive" inspect packed.skv
    fits $columns "$skive" unpack packed.skv -o unpacked.onnx
    fits $columns "$skive" bench int8.onnx --runs 1 --seconds 0
    fits $columns "$skive" explain int8.onnx
    fits $columns "$skive" compare $long int8.onnx unpacked.onnx --data $data --seconds 0
done
for command in train inspect eval distill prune quantize sensitivity share pack unpack run bench simplify explain compare; do
    fits 80 "$skive" $command --help
done
fits 80 "$skive" --help
COLUMNS=60 expect 0 'total +[0-9]' "$skive" inspect model.onnx

finish
