#!/usr/bin/env bash
# The proof of quantization: what each way loses on test images against the float network, with paired intervals, and whether the
# bound of scripts/proof_quant.conf holds. Results are kept in docs/results/quantization.tsv, and docs/results/quantization.md is made
# from them: a row with the same settings is not made again. A row that misses its bound, or could not be made, is printed as such,
# and the status is 1.
#     proof_quant.sh SKIVE [FOLDER]      FOLDER: trained networks; default ~/.cache/skive/proof, that of proof_train.sh
# Environment: SIZE (full, or small: short trainings, for a shared machine), ONLY (a pattern on names of rows), SEEDS (instead of those
# of the rows), FRESH=1 (rows that are there are made anew), THREADS (default: all), MNIST (as in proof_train.sh)
# shellcheck disable=SC2086 # options are split into words
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
out=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/proof}
size=${SIZE:-full}
conf=scripts/proof_quant.conf
rows=docs/results/quantization.tsv
page=docs/results/quantization.md
threads=${THREADS:-$(nproc)}
mnist=$(realpath -m "${MNIST:-../shared/data/mnist}")
python=$(tests/oracle/setup.sh)
mkdir -p "$out" docs/results
touch "$rows"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
say() { echo "proof_quant: $*" >&2; }
# NAME of a row with a "|" behind it does not stand in another's; fields of a line
line_of() { grep "^$1 $2 |" $conf; } # KIND NAME
trim() { sed 's/^ *//; s/ *$//' <<<"$1"; }

# The file of a net, then its data spec.
net_of() { # NAME SEED
    local row network set small full file
    IFS='|' read -r _ row network set small full < <(line_of net "$1")
    row=$(trim "$row") network=$(trim "$network") set=$(trim "$set")
    if [ "$size" = full ] && [ "$row" != - ]; then
        NET="$row $2" THREADS=$threads scripts/proof_train.sh "$skive" "$out"
        return
    fi
    case $set in
    mnist) set=mnist:$mnist ;;
    fashion-mnist) ;;
    *) set=$(NET="$row $2" SPEC=1 scripts/proof_train.sh "$skive" "$out" | tail -n 1) ;;
    esac
    [ "$size" = full ] && small=$full
    file=$out/quant-$1-$2-$(line_of net "$1" | cksum | cut -d' ' -f1)-$size.onnx
    if [ ! -e "$file" ]; then
        say "$skive train $network --data $set$small --seed $2"
        "$skive" train "$network" --data "$set" $small --seed "$2" -t "$threads" -q -o "$file.part.onnx" >"$file.log" 2>&1
        mv "$file.part.onnx" "$file"
    fi
    echo "$file"
    echo "$set"
}

# "float accuracy change low high" of a model against the float network, in percent and points
figures() { # FLOAT MODEL DATA
    "$skive" compare "$1" "$2" --data "$3" --resamples 0 --seconds 0.01 --threads "$threads" --quiet --report "$work/report.json" >/dev/null
    "$python" - "$work/report.json" <<'PY'
import json, sys
one, two = json.load(open(sys.argv[1]))["models"]
d = two["to_first"]
print(*("%.2f" % (100 * x) for x in (one["accuracy"], two["accuracy"], d["difference"], d["low"], d["high"])))
PY
}
quantize() { "$skive" quantize "$1" "${@:2}" --threads "$threads" --quiet -o "$work/q.onnx" >"$work/log" 2>&1; } # MODEL OPTIONS...

# ---- functions of rows: FLOAT DATA OPTIONS..., print "float accuracy change low high count" ----

imbalanced() {
    "$python" scripts/imbalance.py "$1" "$work/imbalanced.onnx" 64 "$seed" >/dev/null
    quantize "$work/imbalanced.onnx" "${@:3}"
    echo "$(figures "$1" "$work/q.onnx" "$2") -"
}
# Bits of the outputs that a plain interpreter computes otherwise: 10,000 test images, or of other inputs numbers of a normal distribution.
exact() {
    local answer
    quantize "$1" --data "$2" "${@:3}"
    "$python" - "$work/q.onnx" "$2" "$work/x.npy" <<'PY'
import gzip, os, sys
import numpy as np, onnx
model, data, to = sys.argv[1:]
model = onnx.load(model)
meta = {m.key: m.value for m in model.metadata_props}
shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
folder = data[6:] if data.startswith('mnist:') else '/usr/share/datasets/fashion-mnist' if data == 'fashion-mnist' else None
if folder:
    name = folder + '/t10k-images-idx3-ubyte'
    raw = gzip.open(name + '.gz').read() if os.path.exists(name + '.gz') else open(name, 'rb').read()
    x = np.frombuffer(raw, np.uint8, offset=16).reshape([-1] + shape).astype(np.float32) * np.float32(1 / 255)
    if meta.get('skive.input.mean', 'none') != 'none':
        x = (x - np.float32(meta['skive.input.mean'])) / np.float32(meta['skive.input.std'])
else:
    x = np.random.default_rng(1).standard_normal([10000] + shape).astype(np.float32)
np.save(to, x.astype(np.float32))
PY
    "$skive" run "$work/q.onnx" -i "$work/x.npy" -o "$work/y.npy" -t "$threads" -q >/dev/null
    answer=$("$python" scripts/plain_int8.py "$work/q.onnx" "$work/x.npy" "$work/y.npy") || [ $? = 1 ] || { say "$answer"; return 1; }
    echo "$(figures "$1" "$work/q.onnx" "$2") ${answer%% *}"
}
# Layers whose weights lose more on the piecewise grid than on the linear one with as many bits.
piecewise() {
    "$skive" sensitivity "$1" --data "$2" --limit 500 --grids int4:tensor,piecewise:tensor --weights-only -t "$threads" --json -q >"$work/s.json"
    echo "- - - - - $("$python" - "$work/s.json" <<'PY'
import json, sys
by = {}
for r in json.load(open(sys.argv[1]))["rows"]:
    by.setdefault(r["node"], []).append(r.get("weight_sqnr", 1e9))
print(sum(b[1] < b[0] for b in by.values()))
PY
)"
}
# Three budgets between the sizes with 4 and with 8 bits everywhere: how many of the choices have no more accuracy and no fewer bytes than
# one of those two; the change is that of the smallest.
bits() {
    local grid n4 n8 bytes k smallest count=0 f a d rest
    : >"$work/uniform"
    for grid in int4 int8; do
        quantize "$1" --data "$2" --weights $grid --calibration minmax
        read -r f a d rest < <(figures "$1" "$work/q.onnx" "$2")
        echo "$(stat -c %s "$work/q.onnx") $a" >>"$work/uniform"
    done
    n4=$(sed -n '1s/ .*//p' "$work/uniform") n8=$(sed -n '2s/ .*//p' "$work/uniform")
    for k in 25 50 75; do
        bytes=$((n4 + (n8 - n4) * k / 100))
        quantize "$1" --data "$2" --bytes $bytes --calibration minmax || return 1
        read -r f a d rest < <(figures "$1" "$work/q.onnx" "$2")
        [ $k = 25 ] && smallest="$f $a $d $rest"
        awk -v n="$(stat -c %s "$work/q.onnx")" -v a="$a" '$1 <= n && $2 > a { bad = 1 } END { exit !bad }' "$work/uniform" && count=$((count + 1))
    done
    echo "$smallest $count"
}
# Points by which the drop on the validation split is over the limit; where it is infeasible, which the command says, nothing is written.
limit() {
    local status=0
    "$skive" quantize "$1" --data "$2" --max-drop "$3" "${@:4}" --threads "$threads" --json -q -o "$work/q.onnx" >"$work/l.json" 2>"$work/log" || status=$?
    [ $status = 0 ] || [ $status = 11 ] || return 1
    if [ $status = 11 ]; then
        echo "- - - - - 0"
        return
    fi
    echo "$(figures "$1" "$work/q.onnx" "$2") $("$python" -c '
import json, sys
print("%.4f" % max(0, json.load(open(sys.argv[1]))["control"]["drop"] - float(sys.argv[2])))' "$work/l.json" "$3")"
}

# ---- rows ----

of_row() { awk -F'\t' -v n="$1" -v s="$2" -v z="$size" '$1 == n && $2 == s && $3 == z' "$rows"; } # NAME SEED
keep() {
    { awk -F'\t' -v n="$1" -v s="$2" -v z="$3" '$1 != n || $2 != s || $3 != z' "$rows"; (IFS=$'\t'; echo "$*"); } |
        LC_ALL=C sort -t$'\t' -k1,1 -k2,2n -k3,3 >"$work/rows"
    cp "$work/rows" "$rows"
}

while IFS='|' read -r head _ net full small seeds _; do
    name=$(trim "${head#row }") net=$(trim "$net")
    # shellcheck disable=SC2053 # a pattern
    [[ $name == ${ONLY:-*} ]] || continue
    options=$(trim "$full")
    [ "$size" = full ] || [ "$(trim "$small")" = "=" ] || options=$(trim "$small")
    settings=$({ echo "$options"; line_of net "$net"; } | cksum | cut -d' ' -f1)
    for seed in ${SEEDS:-$seeds}; do
        [ "${FRESH:-0}" != 1 ] && [ "$(of_row "$name" "$seed" | cut -f4)" = "$settings" ] && continue
        start=$SECONDS
        { read -r file && read -r data; } < <(net_of "$net" "$seed") || { say "$name: no net"; failed=1; continue; }
        given=${options//\$D/$data}
        say "$name, seed $seed: $given"
        if [[ $given == @* ]]; then
            read -r function given <<<"${given#@}"
            line=$($function "$file" "$data" $given) || { say "$name failed: $(tail -n 1 "$work/log")"; failed=1; continue; }
        else
            quantize "$file" $given || { say "$name failed: $(tail -n 1 "$work/log")"; failed=1; continue; }
            line="$(figures "$file" "$work/q.onnx" "$data") -"
        fi
        # shellcheck disable=SC2086
        keep "$name" "$seed" "$size" "$settings" $line $((SECONDS - start))
    done
done < <(grep '^row ' $conf)

# Whether a condition holds for a line of $rows; "-": there is none.
judge() { # CONDITION NAME SEED SIZE f a d l h x
    local condition other
    condition=$(trim "$1")
    [ "$condition" = - ] && { echo -; return; }
    while [[ $condition =~ ([a-z0-9-]+)\.d ]]; do
        other=$(awk -F'\t' -v n="${BASH_REMATCH[1]}" -v s="$3" -v z="$4" '$1 == n && $2 == s && $3 == z { print $7 }' "$rows")
        [ -n "$other" ] || { echo -; return; }
        condition=${condition//${BASH_REMATCH[0]}/($other)}
    done
    # without figures only what was counted says anything
    if awk -v f="$5" -v a="$6" -v d="$7" -v l="$8" -v h="$9" -v x="${10}" "BEGIN { exit !($condition) }"; then echo yes; else echo "**no**"; fi
}

{
    echo "# Quantization on real data"
    echo
    echo "Made by \`make proof-quant\` (\`scripts/proof_quant.sh\`; the rows and their bounds are those of \`scripts/proof_quant.conf\`)."
    echo "\"size\" is full, or small for short trainings of the float network and of the quantized one. Accuracy is that of the whole test"
    echo "set; the change against the float network has its paired 95 % interval (Newcombe 1998). Calibration reads 1,000 training"
    echo "samples, layer by layer 512 of them. The imbalance is that of \`scripts/imbalance.py\`; the plain interpreter is"
    echo "\`scripts/plain_int8.py\`. f, a, d, l, h and x in conditions: accuracy of the float and the quantized network, change, its"
    echo "limits, and what the row counts. Rows marked \"not run\" were not made on this machine."
    echo
    echo "| what | options of \`skive quantize\` | size, seed | float % | quantized % | change, points | count | must | holds | aim | holds |"
    echo "|---|---|---|---:|---:|---|---:|---|---|---|---|"
    while IFS='|' read -r head what _ full small _ must aim; do
        name=$(trim "${head#row }") what=$(trim "$what") must=$(trim "$must") aim=$(trim "$aim") there=0
        while IFS=$'\t' read -r _ seed of _ f a d l h x _; do
            there=1
            options=$(trim "$full")
            [ "$of" = full ] || [ "$(trim "$small")" = "=" ] || options=$(trim "$small")
            change="$d ($l to $h)"
            [ "$d" = - ] && change=-
            held=$(judge "$must" "$name" "$seed" "$of" "$f" "$a" "$d" "$l" "$h" "$x")
            aimed=$(judge "$aim" "$name" "$seed" "$of" "$f" "$a" "$d" "$l" "$h" "$x")
            [ "$held" != "**no**" ] || echo "$name, seed $seed, $of" >>"$work/missed"
            echo "| $what | \`${options//\$D/SET}\` | $of, $seed | $f | $a | $change | $x | ${must//||/or} | $held | $aim | $aimed |"
        done < <(awk -F'\t' -v n="$name" '$1 == n' "$rows")
        [ $there = 1 ] || echo "| $what | \`$(trim "${full//\$D/SET}")\` | - | - | - | not run | - | $must | - | $aim | - |"
    done < <(grep '^row ' $conf)
} >"$work/page"
mv "$work/page" "$page"
chmod 644 "$page"
say "wrote $page"
if [ -s "$work/missed" ]; then
    say "missed their bounds:"
    cat "$work/missed" >&2
    failed=1
fi
exit $failed
