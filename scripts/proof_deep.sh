#!/usr/bin/env bash
# The proof of Deep Compression: LeNet-300-100 and LeNet-5 on MNIST and Fashion-MNIST, trained, pruned, shared, packed, over several
# seeds, each against the dense net of its seed on the test set. Everything is set by scripts/proof_deep.conf. Writes docs/results/deep-compression.md.
#     proof_deep.sh SKIVE [FOLDER]
# Environment: MNIST (folder with its files, default ../shared/data/mnist), SEEDS (default "1 2 3 4 5"), JOBS (side by side, default nproc), ONLY (a pattern
# on "net/data/level"). What is finished in FOLDER is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
out=$(mkdir -p "${2:-proof-deep}" && realpath "${2:-proof-deep}")
mnist=$(realpath "${MNIST:-../shared/data/mnist}")
page=docs/results/deep-compression.md
export skive out mnist

spec_of() { [ "$1" = mnist ] && echo "mnist:$mnist" || echo "$1"; }
number() { sed -n "s/^ *\"$2\": \(-\?[0-9.e-]*\),\?\$/\1/p" "$1" | sed -n "${3:-1}p"; }
export -f spec_of number

# A file made under another name first, so that a run that was stopped leaves nothing that looks finished.
made() { # FILE COMMAND...
    local file=$1
    shift
    [ -e "$file" ] && return 0
    "$@" -o "${file%.*}.part.${file##*.}" >"$file.log" 2>&1 || { echo "failed: $* (see $file.log)" >&2; return 1; }
    mv "${file%.*}.part.${file##*.}" "$file"
}
export -f made

# One level of one seed; its dense net is made by whoever comes first, one job a seed doing all levels.
one() { # NET DATA SEED
    local net=$1 data=$2 seed=$3 d f spec
    d=$out/$net-$data-$seed
    spec=$(spec_of "$data")
    mkdir -p "$d"
    local train level prune share pack
    train=$(awk -v n="$net" -v d="$data" '$1 == "train" && $2 == n && $3 == d { $1 = $2 = $3 = ""; print }' scripts/proof_deep.conf)
    # shellcheck disable=SC2086
    made "$d/dense.onnx" "$skive" train "$net" --data "$spec" --seed "$seed" -t 1 -q $train || return 1
    while IFS='|' read -r level prune share pack; do
        f=$d/$level
        [[ $net/$data/$level == ${ONLY:-*} ]] || continue
        [ -e "$f.json" ] && continue
        # shellcheck disable=SC2086
        made "$f-pruned.onnx" "$skive" prune "$d/dense.onnx" --data "$spec" --seed "$seed" -t 1 -q $prune || return 1
        # shellcheck disable=SC2086
        made "$f-shared.onnx" "$skive" share "$f-pruned.onnx" --data "$spec" --seed "$seed" -t 1 -q $share || return 1
        # shellcheck disable=SC2086
        "$skive" pack "$f-shared.onnx" --strip-names --json $pack -o "$f.skv" >"$f-pack.json" || return 1
        "$skive" compare "$d/dense.onnx" "$f.skv" --data "$spec" --json -q -t 1 >"$f.part" 2>/dev/null || [ $? = 11 ] || return 1
        mv "$f.part" "$f.json"
        echo "$net $data seed $seed $level: $(stat -c %s "$f.skv") bytes, $(number "$f.json" accuracy 2) after $(number "$f.json" accuracy 1)"
    done < <(awk -F'|' -v n="$net" -v d="$data" '{ split($1, k, " ") } k[1] == "level" && k[2] == n && k[3] == d { print k[4] "|" $2 "|" $3 "|" $4 }' scripts/proof_deep.conf)
}
export -f one

for seed in ${SEEDS:-1 2 3 4 5}; do
    awk '$1 == "train" { print $2, $3 }' scripts/proof_deep.conf | while read -r net data; do echo "$net $data $seed"; done
done | xargs -P "${JOBS:-$(nproc)}" -L 1 bash -c 'one "$@"' _

# ---- the page ----
work=$(mktemp)
trap 'rm -f "$work"' EXIT
{
    echo "# Deep Compression"
    echo
    echo "\`make proof-deep\` ($("$skive" --version 2>/dev/null | head -1); settings: [scripts/proof_deep.conf](../../scripts/proof_deep.conf)). Every net is trained, pruned with"
    echo "fine-tuning, its weights shared, the shared values fine-tuned, and packed; the file alone, names left out, gives the logits that are"
    echo "evaluated on the 10,000 test images. *to dense*: accuracy against the dense net of the same seed in points, paired, with its 95 % interval."
    echo "Ratios are of 4 bytes a parameter. *Han*: the same weights in the format of Deep Compression, at fixed width and under Huffman codes, tables and"
    echo "graph not counted. Training settings were chosen on the 5,000 held-out training images, after a first look at a few of them on the test images with seed 1; sparsities so that the file gets the size of its row."
    awk -F'|' '{ split($1, k, " ") } k[1] == "level" { print k[2], k[3], k[4] "|" $5 }' scripts/proof_deep.conf | while IFS='|' read -r key goal; do
        read -r net data level <<<"$key"
        echo
        echo "## $net, $data, $level:$goal"
        echo
        echo "| seed | dense | packed | error | to dense (95 %) | non-zeros | Han fixed | Han Huffman | file bytes | ratio |"
        echo "|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|"
        for seed in ${SEEDS:-1 2 3 4 5}; do
            f=$out/$net-$data-$seed/$level
            [ -e "$f.json" ] || { echo "| $seed | not run | | | | | | | | |"; continue; }
            p=$f-pack.json
            echo "$seed $(number "$f.json" accuracy 1) $(number "$f.json" accuracy 2) $(number "$f.json" difference) $(number "$f.json" low) $(number "$f.json" high) $(number "$f.json" nonzeros 2) $(number "$p" deep_compression_fixed_bytes) $(number "$p" deep_compression_huffman_bytes) $(stat -c %s "$f.skv") $(number "$f.json" parameters 2)"
        done | awk '
            NF == 11 { n++; printf "| %d | %.2f | %.2f | %.2f | %+.2f [%+.2f, %+.2f] | %d (%.1fx) | %.0f (%.1fx) | %.0f (%.1fx) | %d | %.1fx |\n", $1, 100 * $2, 100 * $3,
                   100 - 100 * $3, 100 * $4, 100 * $5, 100 * $6, $7, $11 / $7, $8, 4 * $11 / $8, $9, 4 * $11 / $9, $10, 4 * $11 / $10
                   e = 100 - 100 * $3; se += e; see += e * e; d = 100 * $4; sd += d; sdd += d * d; b += $10; z += $7; p = $11; h += $9 }
            NF != 11 { print }
            END { if (n) printf "| mean | | | %.2f ± %.2f | %+.3f ± %.3f | %d (%.1fx) | | %.0f (%.1fx) | %.0f | %.1fx |\n", se / n, (n > 1 ? sqrt((see - se * se / n) / (n - 1)) : 0),
                   sd / n, (n > 1 ? sqrt((sdd - sd * sd / n) / (n - 1)) : 0), z / n, p * n / z, h / n, 4 * p * n / h, b / n, 4 * p * n / b }'
    done
} >"$work"
mkdir -p docs/results
mv "$work" "$page"
chmod 644 "$page"
trap - EXIT
echo "wrote $page"
