#!/usr/bin/env bash
# The proof of quantization: what each way loses on 10,000 test images of Fashion-MNIST against the float network, with paired
# intervals. Writes docs/results/quantization.md; a row that misses its bound is printed as such, and the status is 1.
#     proof_quant.sh SKIVE [FOLDER]      FOLDER: trained networks, kept between runs; default ~/.cache/skive/proof-quant
# Environment: SEEDS ("1 2 3"), THREADS (default: all)
# shellcheck disable=SC2086 # the options are split into words
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
nets=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/proof-quant}
seeds=${SEEDS:-1 2 3}
threads=${THREADS:-$(nproc)}
data=fashion-mnist
page=docs/results/quantization.md
python=$(tests/oracle/setup.sh)
mkdir -p "$nets" docs/results
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

net_of() { # SEED: the network's file; trained if it is not there
    local file=$nets/resnet8-$1.onnx
    if [ ! -e "$file" ]; then
        "$skive" train resnet8 --data $data -e 5 --seed "$1" --threads "$threads" --quiet -o "$file.part.onnx" >&2
        mv "$file.part.onnx" "$file"
    fi
    echo "$file"
}

# "accuracy change low high" of a model against the float network, in percent and points
figures() { # FLOAT MODEL
    "$skive" compare "$1" "$2" --data $data --resamples 0 --threads "$threads" --quiet --report "$work/report.json" >/dev/null
    "$python" - "$work/report.json" <<'PY'
import json, sys
m = json.load(open(sys.argv[1]))["models"][1]
d = m["to_first"]
print(*("%.2f" % (100 * x) for x in (m["accuracy"], d["difference"], d["low"], d["high"])))
PY
}

quantize() { # MODEL OPTIONS...: the file
    "$skive" quantize "$1" "${@:2}" --threads "$threads" --quiet -o "$work/q.onnx" >/dev/null
    echo "$work/q.onnx"
}

held() { # CONDITION of awk
    if awk "BEGIN { exit !($1) }"; then echo yes; else echo "**no**"; fi
}

row() { # WHAT OPTIONS SEED FLOAT-ACCURACY FIGURES... BOUND CONDITION
    local holds=-
    [ "$9" = - ] || holds=$(held "${10}")
    [ "$holds" != "**no**" ] || failed=1
    echo "| $1 | \`$2\` | $3 | $4 | $5 | $6 ($7 to $8) | $9 | $holds |" >>"$work/rows"
}

for seed in $seeds; do
    net=$(net_of "$seed")
    read -r float _ < <(figures "$net" "$net")

    options="--data $data"
    read -r a d l h < <(figures "$net" "$(quantize "$net" $options)")
    row "int8 per channel" "$options" "$seed" "$float" "$a" "$d" "$l" "$h" "drop <= 0.20" "$d >= -0.20"

    options="--data none"
    read -r a d l h < <(figures "$net" "$(quantize "$net" $options)")
    row "int8 without samples" "$options" "$seed" "$float" "$a" "$d" "$l" "$h" - 1

    "$python" scripts/imbalance.py "$net" "$work/imbalanced.onnx" 64 "$seed" >/dev/null
    options="--data $data --per-tensor"
    read -r a d l h < <(figures "$net" "$(quantize "$work/imbalanced.onnx" $options)")
    row "imbalance 1/64 to 64, int8 per tensor" "$options" "$seed" "$float" "$a" "$d" "$l" "$h" "drop > 20" "$d < -20"
    options="--data $data --per-tensor --equalize"
    read -r a d l h < <(figures "$net" "$(quantize "$work/imbalanced.onnx" $options)")
    row "the same, equalized" "$options" "$seed" "$float" "$a" "$d" "$l" "$h" "drop <= 0.5" "$d >= -0.5"

    options="--data $data --weights int4:tensor"
    read -r a nearest l h < <(figures "$net" "$(quantize "$net" $options)")
    row "W4A8 per tensor, nearest" "$options" "$seed" "$float" "$a" "$nearest" "$l" "$h" - 1
    for way in "adaround 0.70" "gptq 0.60"; do
        read -r name share <<<"$way"
        options="--data $data --weights int4:tensor --rounding $name"
        read -r a d l h < <(figures "$net" "$(quantize "$net" $options)")
        part=$(awk "BEGIN { printf \"%.0f\", $nearest < 0 ? 100 * (1 - $d / $nearest) : 100 }")
        row "W4A8 per tensor, $name: $part % of the loss recovered" "$options" "$seed" "$float" "$a" "$d" "$l" "$h" \
            ">= $(awk "BEGIN { print 100 * $share }") %" "$part >= 100 * $share"
    done
    options="--data $data --weights int4:tensor --bias-correction empirical"
    read -r a d l h < <(figures "$net" "$(quantize "$net" $options)")
    row "W4A8 per tensor, empirical bias correction" "$options" "$seed" "$float" "$a" "$d" "$l" "$h" - 1
    options="--data $data --weights int4:tensor --smooth"
    read -r a d l h < <(figures "$net" "$(quantize "$net" $options)")
    row "W4A8 per tensor, SmoothQuant" "$options" "$seed" "$float" "$a" "$d" "$l" "$h" - 1
    options="--data $data --weights int4:tensor --rounding awq"
    read -r a d l h < <(figures "$net" "$(quantize "$net" $options)")
    row "W4A8 per tensor, AWQ" "$options" "$seed" "$float" "$a" "$d" "$l" "$h" - 1
done

{
    echo "# Quantization on real data"
    echo
    echo "Made by \`make proof-quant\` (\`scripts/proof_quant.sh\`), which says in the last column whether the bound in front of it"
    echo "holds. ResNet-8, trained with \`skive train resnet8 --data fashion-mnist -e 5 --seed N\`; accuracy on the 10,000 test"
    echo "images of Fashion-MNIST; the change against the float network has its paired 95 % interval (Newcombe 1998)."
    echo "Calibration reads 1,000 training images, layer by layer 512 of them. The imbalance is that of \`scripts/imbalance.py\`."
    echo
    echo "| what | options of \`skive quantize\` | seed | float % | quantized % | change, points | bound | holds |"
    echo "|---|---|---:|---:|---:|---|---|---|"
    cat "$work/rows"
} >"$work/page"
mv "$work/page" "$page"
chmod 644 "$page"
echo "wrote $page"
exit $failed
