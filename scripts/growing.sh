#!/usr/bin/env bash
# What it saves to let a task grow: --curriculum (samples) and --progressive (images and regularisation) against the same
# run without, by the processor's seconds and the accuracy on the test set. Results are kept in docs/results/growing.tsv,
# and the page docs/results/growing.md is made from them; what is there is not measured again.
#     growing.sh SKIVE
# Environment: LIMIT (training samples; 0: all), EPOCHS, SEEDS; TEXT (folder of train.csv and test.csv with columns text and
# label, which proof_train.sh makes as "fortunes"; without it the rows of text are not made)
set -euo pipefail
cd "$(dirname "$0")/.."
skive=$(realpath "$1")
limit=${LIMIT:-0} epochs=${EPOCHS:-20} seeds=${SEEDS:-1 2 3}
text=${TEXT:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/proof/fortunes}
rows=docs/results/growing.tsv page=docs/results/growing.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
touch "$rows"

run() { # ROW WHAT SEED options of skive train...
    local row=$1 what=$2 seed=$3 key
    shift 3
    key="$row"$'\t'"$what"$'\t'"$seed"$'\t'"$limit"$'\t'"$epochs"
    ! grep -qF "$key"$'\t' "$rows" || return 0
    local spec=
    for word in "$@"; do [ "${before:-}" = --data ] && spec=$word; local before=$word; done
    TIMEFORMAT=%U
    # The time of one thread that computes and one that makes batches ready; a busy machine does not change it much.
    { time OMP_NUM_THREADS=1 "$skive" train "$@" --epochs "$epochs" --limit "$limit" --seed "$seed" -t 1 -q -o "$work/net.onnx" >"$work/said" 2>&1; } 2>"$work/time" ||
        { cat "$work/said" >&2; return 1; }
    "$skive" eval "$work/net.onnx" --data "$spec" --json -q --no-confusion >"$work/json" 2>/dev/null
    printf '%s\t%s\t%s\n' "$key" "$(cat "$work/time")" "$(sed -n 's/^ *"accuracy": \([0-9.]*\),*$/\1/p' "$work/json" | head -n 1)" >>"$rows"
    tail -n 1 "$rows" >&2
}

for seed in $seeds; do
    image=(resnet8 --data fashion-mnist --lr 0.1 --augment "crop:2,flip")
    run resnet8 plain "$seed" "${image[@]}"
    run resnet8 progressive "$seed" "${image[@]}" --progressive size=0.5
    run resnet8 random "$seed" "${image[@]}" --curriculum random
    run resnet8 loss "$seed" "${image[@]}" --curriculum loss
    run resnet8 both "$seed" "${image[@]}" --progressive size=0.5 --curriculum balanced
    [ -e "$text/train.csv" ] || continue
    words=("transformer:dim=64,depth=2,heads=4,dropout=0.2" --data "text:$text/train.csv,column=text,label=label,test=$text/test.csv,tokens=word:size=8000\\,lower,length=64" --optimizer adamw --lr 0.001)
    run transformer plain "$seed" "${words[@]}"
    run transformer random "$seed" "${words[@]}" --curriculum random
    run transformer loss "$seed" "${words[@]}" --curriculum loss
done

{
    cat <<'END'
# Growing the task

Made by `scripts/growing.sh`: training that begins with a part of the samples (`--curriculum`) or with small images and weak
regularisation (`--progressive size=0.5`), against the same run without (plain). `both` is `--progressive` with `--curriculum
balanced`. Seconds are those of the processor, by one thread that computes and one that makes batches ready; accuracy is of
the test set, which training does not read. Means over the seeds. "Times less" is the plain run's seconds divided by these:
it counts as less time to the same accuracy only where the difference of accuracy is not below 0.

| network | training samples | epochs | seeds | kind | seconds | accuracy | difference | times less |
|---|---:|---:|---:|---|---:|---:|---:|---:|
END
    awk -F'\t' -v OFS=' | ' '
        { k = $1 FS $4 FS $5; id = k SUBSEP $2; if (!(id in n)) order[++m] = id; n[id]++; t[id] += $6; a[id] += $7 }
        END { for (i = 1; i <= m; i++) { id = order[i]; split(id, p, SUBSEP); split(p[1], q, FS); base = p[1] SUBSEP "plain"
            if (!(base in n)) continue
            printf "| %s | %s | %s | %d | %s | %.0f | %.2f %% | %+.2f | %.2f |\n", q[1], q[2] == 0 ? "all" : q[2], q[3], n[id], p[2],
                t[id] / n[id], 100 * a[id] / n[id], 100 * (a[id] / n[id] - a[base] / n[base]), (t[base] / n[base]) / (t[id] / n[id]) } }' "$rows"
} >"$page.part"
mv "$page.part" "$page"
cat "$page"
