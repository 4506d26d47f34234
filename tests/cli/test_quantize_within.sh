#!/usr/bin/env bash
# quantize --max-drop: nodes put back to float until the loss of accuracy is within the limit.
. "$(dirname "$0")/common.sh"
make_data
expect 0 'wrote m.onnx' "$skive" train mlp:16,8 --data $data --epochs 2 --batch 32 -o m.onnx

# A limit that everything meets: one evaluation besides the original's.
expect 0 'accuracy control: 3 of 3 nodes in INT8' "$skive" quantize m.onnx --data $data --max-drop 100 -o q.onnx
expect 0 '2 evaluations' "$skive" quantize m.onnx --data $data --max-drop 100 -o q.onnx
expect 0 '^test: [0-9]+ samples, .* drop [+-][0-9.]+ points \(95 % interval' \
    "$skive" quantize m.onnx --data $data --max-drop 100 -o q.onnx
for key in '"feasible": true' '"quantized": 3' '"evaluations": 2' '"p_value"' '"sqnr_db"'; do
    expect 0 "$key" "$skive" quantize m.onnx --data $data --max-drop 100 --json -o q.onnx
done
rm q.onnx

# The limit holds on the validation split; what the command says is what eval measures.
expect 0 '' "$skive" quantize m.onnx --data $data --max-drop 0 --json -o q.onnx
cp out.txt control.json
expect 0 '' "$skive" eval m.onnx --data $data --split validation --json
cp out.txt before.json
expect 0 '' "$skive" eval q.onnx --data $data --split validation --json
cp out.txt after.json
checks=$((checks + 1))
perl -MJSON::PP -e '
    sub in { local $/; open my $f, "<", $_[0]; decode_json(<$f>) }
    my ($c, $b, $a) = (in("control.json")->{control}, in("before.json"), in("after.json"));
    my $drop = 100 * ($b->{accuracy} - $a->{accuracy});
    abs($drop - $c->{drop}) < 1e-6 && $drop <= 1e-9 && abs($c->{original} - 100 * $b->{accuracy}) < 1e-6
        or die "drop $drop, told $c->{drop}\n"' || failures=$((failures + 1))

expect 2 '--max-drop is -1; it must be between 0 and 100' "$skive" quantize m.onnx --data $data --max-drop -1 -o r.onnx
expect 2 '--max-drop needs labelled samples' "$skive" quantize m.onnx -i x.npy --max-drop 1 -o r.onnx
absent r.onnx
finish
