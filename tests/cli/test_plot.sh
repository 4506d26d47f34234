#!/bin/bash
# Logs of training, and the curves drawn from them.
. "$(dirname "$0")/common.sh"
make_data
train() { "$skive" train mlp:16 --data $data --batch 16 -q "$@"; }
expect 0 'wrote' train --epochs 3 --log a.jsonl -o m.onnx
expect 0 'wrote' train --epochs 4 --lr 0.002 --log b.jsonl -o m.onnx
checks=$((checks + 1))
python3 -c 'import json, sys
events = [json.loads(line)["event"] for line in open("a.jsonl")]
sys.exit(events[0] != "run" or events[-1] != "end" or events.count("epoch") != 3 or events.count("steps") != 51)' || {
    echo "FAIL: the lines of the log"
    failures=$((failures + 1))
}
# In characters: never wider than the screen.
expect 0 '^a +\. o +3/3' "$skive" plot a.jsonl
cp out.txt curves.txt
expect 0 '^loss$' cat curves.txt
expect 0 '^accuracy$' cat curves.txt
expect 0 '^learning rate$' cat curves.txt
checks=$((checks + 1))
awk 'length($0) > 80 { exit 1 }' curves.txt || { echo "FAIL: a line over 80 columns"; failures=$((failures + 1)); }
expect 0 '^b +b B +4/4' "$skive" plot a.jsonl b.jsonl --figures loss --x seconds --log-scale
expect 0 '"best_validation_loss"' "$skive" plot a.jsonl b.jsonl --json
# Figures that were asked for by name are told for each epoch, logged and drawn.
expect 0 'epoch 2/2 .* f-beta [0-9.]+' "$skive" train mlp:16 --data $data --batch 16 --no-curves \
    --epochs 2 --metrics f-beta:beta=0.5 --best balanced-accuracy --log named.jsonl --tensorboard board -o m.onnx
checks=$((checks + 1))
python3 -c 'import json, sys
rows = [json.loads(line) for line in open("named.jsonl")]
figures = [set(r["figures"]) for r in rows if r["event"] == "epoch"]
others = [r for r in map(json.loads, open("a.jsonl")) if "figures" in r]
sys.exit(figures != 2 * [{"f-beta", "balanced-accuracy"}] or others != [])' || {
    echo "FAIL: the figures in the log"
    failures=$((failures + 1))
}
expect 0 'epoch/validation_f-beta' grep -aoh 'epoch/validation_f-beta' board/*/*
expect 0 '^balanced-accuracy$' "$skive" plot named.jsonl
expect 2 "'top-k' is not defined for these data" "$skive" train mlp:16 --data $data --epochs 2 --metrics top-k:30 --log none.jsonl -o m.onnx
absent none.jsonl
expect 0 '^f-beta$' "$skive" plot named.jsonl --figures f-beta,loss
expect 0 '>f-beta<' "$skive" plot named.jsonl -o -
# As a picture.
expect 0 'wrote curves.svg' "$skive" plot a.jsonl b.jsonl -o curves.svg
expect 0 '<polyline' cat curves.svg
checks=$((checks + 1))
python3 -c 'import xml.dom.minidom; xml.dom.minidom.parse("curves.svg")' || { echo "FAIL: not XML"; failures=$((failures + 1)); }
expect 0 '<svg xmlns' "$skive" plot a.jsonl -o -
# A file with several runs, names that XML cannot hold as they are, and a run that was killed.
cat a.jsonl b.jsonl >'two & <more>.jsonl'
expect 0 '^two & <more>, run 2 +b B +4/4' "$skive" plot 'two & <more>.jsonl'
expect 0 'wrote' "$skive" plot 'two & <more>.jsonl' -o two.svg
expect 0 'two &amp; &lt;more>, run 1' cat two.svg
head -c 6000 a.jsonl >torn.jsonl
expect 0 'note: torn.jsonl: the last line is not complete' "$skive" plot torn.jsonl
expect 0 'torn: not ended, or killed' "$skive" plot torn.jsonl
# What cannot be drawn.
expect 4 'none.jsonl: cannot open' "$skive" plot none.jsonl
one_line
expect 5 'm.onnx: (line 1 is not one|not a log)' "$skive" plot m.onnx
echo '{"event":"steps"' >bad.jsonl
expect 5 'bad.jsonl: line 1 is not one of a log of training' "$skive" plot bad.jsonl
: >empty.jsonl
expect 5 'empty.jsonl: the log holds nothing' "$skive" plot empty.jsonl
head -1 a.jsonl >first.jsonl
expect 9 'there is nothing to draw' "$skive" plot first.jsonl
expect 9 'there is nothing to draw' "$skive" plot a.jsonl --figures rmse
expect 2 "no figure 'lost'" "$skive" plot a.jsonl --figures loss,lost
one_line
expect 2 'it must be epoch, step or seconds' "$skive" plot a.jsonl --x time
expect 2 'curves are written as SVG' "$skive" plot a.jsonl -o curves.png
expect 2 'would overwrite' "$skive" plot curves.svg -o ./curves.svg
absent curves.png
# On a terminal the curves are drawn while training runs, and taken away at the end; not in a file.
if command -v script >/dev/null; then
    checks=$((checks + 2))
    make_long_data
    stty_size='stty rows 30 columns 80 2>/dev/null; '
    TERM=xterm script -qec "$stty_size '$skive' train mlp:32 --data idx:long.idx,long_labels.idx --batch 16 --epochs 2 -o t.onnx" screen.txt >/dev/null 2>&1 </dev/null
    # What moves up over its own lines are the curves.
    grep -q $'\033\\[[0-9]*A' screen.txt && grep -q 'accuracy' screen.txt || { echo "FAIL: no curves on the terminal"; tail -c 2000 screen.txt; failures=$((failures + 1)); }
    TERM=xterm script -qec "$stty_size '$skive' train mlp:32 --data idx:long.idx,long_labels.idx --batch 16 --epochs 1 --no-curves -o t.onnx" plain.txt >/dev/null 2>&1 </dev/null
    ! grep -q $'\033\\[[0-9]*A' plain.txt || { echo "FAIL: curves in spite of --no-curves"; failures=$((failures + 1)); }
fi
no_leftovers
finish
