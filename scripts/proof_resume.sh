#!/usr/bin/env bash
# A run that is killed without warning at 20 random moments, and resumed each time, ends with the file, the log and the
# event file of a run that was never stopped. Usage: proof_resume.sh SKIVE [NETWORK] [DATA] [SAMPLES] [EPOCHS]
set -euo pipefail
skive=$(realpath "$1")
network=${2:-lenet5} data=${3:-fashion-mnist} samples=${4:-12000} epochs=${5:-4}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
options=(train "$network" --data "$data" --limit "$samples" --epochs "$epochs" --augment "crop:2,flip" --optimizer adam --threads 2 -q)
started=$(date +%s%N)
"$skive" "${options[@]}" --log straight.jsonl -o straight.onnx >/dev/null
took=$((($(date +%s%N) - started) / 1000000)) # milliseconds
RANDOM=1
kills=0 resumed=0
while [ $kills -lt 20 ]; do
    if [ -e run.ckpt ]; then resumed=$((resumed + 1)); fi
    "$skive" "${options[@]}" --checkpoint run.ckpt --checkpoint-every 1s --log killed.jsonl --tensorboard board -o killed.onnx >out.txt 2>&1 &
    pid=$!
    # Between a tenth and a half of the whole run: about six whole runs in all.
    sleep "$(awk -v t=$took -v r=$RANDOM 'BEGIN { printf "%.3f", t / 1000 * (0.1 + 0.4 * r / 32768) }')"
    if ! kill -KILL $pid 2>/dev/null; then # it came to its end: from the beginning again
        wait $pid
        cmp straight.onnx killed.onnx
        rm run.ckpt
        continue
    fi
    wait $pid 2>/dev/null || true
    kills=$((kills + 1))
done
"$skive" "${options[@]}" --checkpoint run.ckpt --checkpoint-every 1s --log killed.jsonl --tensorboard board -o killed.onnx >/dev/null
cmp straight.onnx killed.onnx
# The figures that do not depend on time, of each step once.
figures() { python3 -c '
import json, sys
for line in map(json.loads, open(sys.argv[1])):
    if line["event"] in ("steps", "epoch"):
        print({k: v for k, v in line.items() if "seconds" not in k and "per_second" not in k and k != "waited"})' "$1"; }
cmp <(figures straight.jsonl) <(figures killed.jsonl)
if find . -name '.*.tmp' | grep -q .; then
    echo "temporary files were left behind"
    exit 1
fi
if [ $resumed -lt 8 ]; then
    echo "only $resumed runs had a checkpoint to resume from: the machine was too busy for the moments that were chosen"
    exit 1
fi
echo "$network on $samples samples of $data, $epochs epochs: killed $kills times and resumed $resumed times; the same file and the same $(figures straight.jsonl | wc -l) figures"
