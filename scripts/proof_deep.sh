#!/usr/bin/env bash
# The proof of Deep Compression: nets trained, pruned, shared and packed, over several seeds, each against a dense net of its seed on the
# test set. Everything is set by scripts/proof_deep.conf. Rows are kept in docs/results/deep-compression.tsv, the page
# docs/results/deep-compression.md is made from them.
#     proof_deep.sh SKIVE [FOLDER]
# Environment: MNIST (folder with its files), CIFAR10 (cifar10-jpeg.tar.xz or its unpacked folder), both in ../shared/data unless told; SEEDS
# (default "1 2 3 4 5"), JOBS (side by side, default nproc), ONLY (a pattern on "net/data/level"), FRESH=1 (rows that are there are made anew).
# A row with the same settings, and what is finished in FOLDER, is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
out=$(mkdir -p "${2:-proof-deep}" && realpath "${2:-proof-deep}")
mnist=$(realpath -m "${MNIST:-../shared/data/mnist}")
cifar=$(realpath -m "${CIFAR10:-../shared/data/cifar10-jpeg.tar.xz}")
conf=scripts/proof_deep.conf
rows=docs/results/deep-compression.tsv
page=docs/results/deep-compression.md
export skive out mnist cifar conf rows

spec_of() {
    case $1 in
    mnist) echo "mnist:$mnist" ;;
    cifar10) [ -d "$cifar" ] && echo "folder:$cifar" || echo "folder:$out/cifar10-jpeg" ;;
    *) echo "$1" ;;
    esac
}
number() { sed -n "s/^ *\"$2\": \(-\?[0-9.e-]*\),\?\$/\1/p" "$1" | sed -n "${3:-1}p"; }
training() { awk -v n="$1" -v d="$2" '$1 == "train" && $2 == n && $3 == d { $1 = $2 = $3 = ""; print }' $conf; }
# "NET DATA LEVEL|prune|share|distil|pack|goal|net to compare with|teacher" of every level
levels() { awk -F'|' -v OFS='|' '{ split($1, k, " ") } k[1] == "level" { print k[2] " " k[3] " " k[4], $2, $3, $4, $5, $6, $7, $8 }' $conf; }
# What a row depends on in the settings, as a number.
settings() { # NET DATA PRUNE SHARE DISTIL PACK AGAINST TEACHER
    echo "$(training "$1" "$2")|$3|$4|$5|$6|${7:+$7$(training "$7" "$2")}${8:+|$8$(training "$8" "$2")}" | tr -s ' ' | cksum | cut -d' ' -f1
}
has_row() { # NET DATA LEVEL SEED SETTINGS
    [ -e $rows ] && [ "${FRESH:-0}" != 1 ] && cut -f1-5 $rows | grep -qxF "$1"$'\t'"$2"$'\t'"$3"$'\t'"$4"$'\t'"$5"
}
export -f spec_of number training levels settings has_row

# A file made under another name first, so that a run that was stopped leaves nothing that looks finished.
made() { # FILE COMMAND...
    local file=$1
    shift
    [ -e "$file" ] && return 0
    "$@" -o "${file%.*}.part.${file##*.}" >"$file.log" 2>&1 || { echo "failed: $* (see $file.log)" >&2; return 1; }
    mv "${file%.*}.part.${file##*.}" "$file"
}
# Where a trained net lies; the name holds its settings, as those of what is made from it do.
dense_file() { echo "$out/$1-$2-$3/dense-$(training "$1" "$2" | cksum | cut -d' ' -f1).onnx"; } # NET DATA SEED
dense() { # NET DATA SEED
    local file
    file=$(dense_file "$1" "$2" "$3")
    mkdir -p "${file%/*}"
    # Two nets may want the same one as teacher.
    (
        flock 9
        # shellcheck disable=SC2046
        made "$file" "$skive" train "$1" --data "$(spec_of "$2")" --seed "$3" -t 1 -q $(training "$1" "$2")
    ) 9>"${file%/*}/lock"
}
export -f made dense_file dense

# The levels of one net and seed, one after the other.
one() { # NET DATA SEED
    local net=$1 data=$2 seed=$3 d f spec key prune share distil pack goal against teacher needed start from base taught level set
    d=$out/$net-$data-$seed
    spec=$(spec_of "$data")
    while IFS='|' read -r key prune share distil pack goal against teacher; do
        level=${key##* }
        # shellcheck disable=SC2053 # a pattern
        [[ $key == "$net $data $level" && $net/$data/$level == ${ONLY:-*} ]] || continue
        against=${against// /} teacher=${teacher// /}
        set=$(settings "$net" "$data" "$prune" "$share" "$distil" "$pack" "$against" "$teacher")
        f=$d/$level-$set
        [ -e "$f.row" ] && continue
        has_row "$net" "$data" "$level" "$seed" "$set" && continue
        for needed in "$net" "${against:-$net}" "${teacher:-$net}"; do
            dense "$needed" "$data" "$seed" || return 1
        done
        start=$(dense_file "$net" "$data" "$seed")
        base=$(dense_file "${against:-$net}" "$data" "$seed")
        taught=$(dense_file "${teacher:-$net}" "$data" "$seed")
        from=$start
        if [ "${prune// /}" != - ]; then
            # shellcheck disable=SC2086
            made "$f-pruned.onnx" "$skive" prune "$from" --data "$spec" --seed "$seed" -t 1 --json -q $prune ${teacher:+--teacher "$taught"} || return 1
            from=$f-pruned.onnx
        fi
        # shellcheck disable=SC2086
        made "$f-shared.onnx" "$skive" share "$from" --data "$spec" --seed "$seed" -t 1 --json -q $share || return 1
        from=$f-shared.onnx
        if [ "${distil// /}" != - ]; then
            # shellcheck disable=SC2086
            made "$f-tuned.onnx" "$skive" distill --teacher "$taught" --student "$from" --data "$spec" --seed "$seed" -t 1 --json -q $distil || return 1
            from=$f-tuned.onnx
        fi
        # shellcheck disable=SC2086
        "$skive" pack "$from" --strip-names --json $pack -o "$f.skv" >"$f-pack.json" || return 1
        "$skive" compare "$base" "$f.skv" --data "$spec" --json -q -t 1 >"$f.json" 2>/dev/null || [ $? = 11 ] || return 1
        printf '%s\t' "$net" "$data" "$level" "$seed" "$set" "$(number "$f.json" accuracy 1)" "$(number "$f.json" accuracy 2)" "$(number "$f.json" difference)" \
            "$(number "$f.json" low)" "$(number "$f.json" high)" "$(parameters "$start")" "$(number "$f.json" nonzeros 2)" \
            "$(number "$f-pack.json" deep_compression_fixed_bytes)" "$(number "$f-pack.json" deep_compression_huffman_bytes)" >"$f.part"
        "$skive" pack "$f.skv" --strip-names --coder huffman --json -o "$f-huffman.skv" >/dev/null || return 1
        printf '%s\t%s\n' "$(stat -c %s "$f.skv")" "$(stat -c %s "$f-huffman.skv")" >>"$f.part"
        mv "$f.part" "$f.row"
        echo "$net $data seed $seed $level: $(stat -c %s "$f.skv") bytes, $(number "$f.json" accuracy 2) after $(number "$f.json" accuracy 1); validation $(
            sed -n 's/^ *"validation_accuracy": \([0-9.]*\),\?$/\1/p' "$from.log" | sort -n | tail -1)"
    done < <(levels)
}
parameters() { "$skive" inspect "$1" --json -q | sed -n 's/^    "parameters": \([0-9]*\),\?$/\1/p'; }
export -f one parameters

if levels | grep -q ' cifar10 ' && [ ! -d "$cifar" ] && [ -e "$cifar" ] && [ ! -d "$out/cifar10-jpeg" ]; then
    mkdir -p "$out/cifar10.part"
    tar -xJf "$cifar" -C "$out/cifar10.part"
    mv "$out/cifar10.part" "$out/cifar10-jpeg"
fi
for seed in ${SEEDS:-1 2 3 4 5}; do
    levels | awk -v s="$seed" '{ print $1, $2, s }' | uniq
done | xargs -P "${JOBS:-$(nproc)}" -L 1 bash -c 'one "$@"' _

# ---- the rows: those of the settings as they are now ----
mkdir -p docs/results
work=$(mktemp docs/results/.rows.XXXXXX)
trap 'rm -f "$work"' EXIT
{
    [ ! -e $rows ] || tail -n +2 $rows
    find "$out" -name '*.row' -printf '%T@ %p\n' | sort -n | cut -d' ' -f2- | xargs -r -d '\n' cat
} | awk -F'\t' -v names="$(
    levels | while IFS='|' read -r key prune share distil pack goal against teacher; do
        read -r net data level <<<"$key"
        echo "$key $(settings "$net" "$data" "$prune" "$share" "$distil" "$pack" "${against// /}" "${teacher// /}")"
    done
)" '
    BEGIN { n = split(names, l, "\n"); for (i = 1; i <= n; i++) at[l[i]] = i
            print "net\tdata\tlevel\tseed\tsettings\tdense\tpacked\tdifference\tlow\thigh\tparameters\tnonzeros\than_fixed\than_huffman\tbytes\thuffman_bytes" }
    { k = $1 " " $2 " " $3 " " $5 } k in at { row[at[k], $4] = $0; if ($4 > most) most = $4 }
    END { for (i = 1; i <= n; i++) for (s = 1; s <= most; s++) if ((i, s) in row) print row[i, s] }' >"$work"
chmod 644 "$work"
mv "$work" $rows

# ---- the page ----
work=$(mktemp docs/results/.page.XXXXXX)
{
    cat <<EOF
# Deep Compression

\`make proof-deep\` ($("$skive" --version 2>/dev/null | head -1); settings: [scripts/proof_deep.conf](../../scripts/proof_deep.conf), rows:
[deep-compression.tsv](deep-compression.tsv)). Every net is trained and pruned with fine-tuning, its weights are shared,
the shared values are tuned, and the result is packed; the dense net is the teacher unless another is named. The packed
file alone, without names, computes the logits that are evaluated on the 10,000 test images.

The columns: *to dense* is the difference in accuracy from the dense net of the same seed in points, paired, with its
95 % interval. Ratios are relative to 4 bytes per parameter. *Han* is the size of the same weights in the format of Deep
Compression, at fixed width and with Huffman codes, without tables and graph. *under Huffman codes* is the same file
with Huffman codes as the only coder, in their best arrangement, and in parentheses how much smaller the
packed file is.

The settings were chosen on the 5,000 held-out training images, and the sparsities so that the file has the size of its
row. The choice was not entirely independent of the test images: for LeNet-300-100, a few settings had first been looked
at on them with seed 1. The non-zeros row of LeNet-300-100, and the rows of LeNet-5 on Fashion-MNIST at 39x and on MNIST
at 365x, were chosen again, by validation, after a first seed had performed badly on them.

Two rows missed their goals and were repeated:

- LeNet-300-100 on MNIST at 40x reached -0.028 ± 0.075 pt with the dense net as teacher, and -0.056 with twice the
  learning rate (five seeds each; not better by validation either). With LeNet-5 as teacher it reaches 99.02 instead of
  98.40 % by validation (seed 1). In that case it has a better teacher than the
  dense net with which it is compared.
- The hashed net had an error of 2.49 % (2.44 with Adam), and the dense net with as many values 3.87 % (64 %), with
  mlp:1000 as teacher and unmodified images; 2.22 % and 3.31 % (67 %, seeds 1, 2, 4 and 5) with rotated images for both.
  Now it starts hashed and untrained, LeNet-5 is the teacher, and both nets are trained on images shifted by up to one
  pixel: 98.2 % by validation (seed 1) instead of 97.8. For the dense net, shifts and rotations are equally good
  (96.3 %, mean of three seeds; 96.0 without), and LeNet-5 as its teacher makes no difference (96.3 instead of 96.4 %,
  seed 1).

cifar10 is CIFAR-10 (JPEG): the images were compressed with loss, so the accuracies cannot be compared with those on
CIFAR-10.
EOF
    levels | while IFS='|' read -r key _ _ _ _ goal against teacher; do
        read -r net data level <<<"$key"
        echo
        echo "## $net, $data, $level:${goal%" "}"
        echo
        [ -z "${against// /}" ] || printf 'Dense is %s here.\n\n' "${against// /}"
        [ -z "${teacher// /}" ] || printf 'The teacher is %s of the same seed here.\n\n' "${teacher// /}"
        echo "| seed | dense | packed | error | to dense (95 %) | non-zeros | Han fixed | Han Huffman | file bytes | ratio | under Huffman codes |"
        echo "|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|"
        awk -F'\t' -v n="$net" -v d="$data" -v l="$level" '
            function spread(q, s, n) { return n > 1 && q > s * s / n ? sqrt((q - s * s / n) / (n - 1)) : 0 }
            BEGIN { m = 5 }
            $1 == n && $2 == d && $3 == l { r[$4] = $0; if ($4 > m) m = $4 }
            END {
                for (s = 1; s <= m; s++) {
                    if (!(s in r)) { print "| " s " | not run | | | | | | | | | |"; continue }
                    split(r[s], v, "\t"); k++
                    e = 100 - 100 * v[7]; b = 100 - 100 * v[6]
                    printf "| %d | %.2f | %.2f | %.2f | %+.2f [%+.2f, %+.2f] | %d (%.1fx) | %.0f (%.1fx) | %.0f (%.1fx) | %d | %.1fx | %d (%.1f %%) |\n", s, 100 * v[6], 100 * v[7], e,
                        100 * v[8], 100 * v[9], 100 * v[10], v[12], v[11] / v[12], v[13], 4 * v[11] / v[13], v[14], 4 * v[11] / v[14], v[15], 4 * v[11] / v[15], v[16], 100 * (1 - v[15] / v[16])
                    se += e; see += e * e; sb += b; sd += 100 * v[8]; sdd += 1e4 * v[8] * v[8]; z += v[12]; p += v[11]; h += v[14]; y += v[15]; f += v[16]
                }
                if (k) printf "| mean | %.2f | %.2f | %.2f ± %.2f | %+.3f ± %.3f | %.0f (%.1fx) | | %.0f (%.1fx) | %.0f | %.1fx | %.0f (%.1f %%) |\n", 100 - sb / k, 100 - se / k, se / k, spread(see, se, k),
                    sd / k, spread(sdd, sd, k), z / k, p / z, h / k, 4 * p / h, y / k, 4 * p / y, f / k, 100 * (1 - y / f)
            }' $rows
    done
} >"$work"
chmod 644 "$work"
mv "$work" "$page"
trap - EXIT
echo "wrote $page"
