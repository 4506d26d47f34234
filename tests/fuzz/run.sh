#!/usr/bin/env bash
# tests/fuzz/run.sh BUILD SECONDS [TARGET ...]: lets each fuzz target of BUILD (preset "fuzz") search for so many seconds, as many side by
# side as there are processors. It starts from the seeds here and from the models and tensors of the ONNX backend suite, and keeps what it
# learns in BUILD/corpus. SKIVE_FUZZ_SEED, when not 0, makes a search start the same way every time. Ends with one line a target; fails when
# one found something, which then lies in BUILD/findings.
set -euo pipefail
build=$(realpath "$1")
seconds=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
suite=/usr/share/libonnx-testdata/data
all=(graph onnx skv tensor npy idx png jpeg bmp image table recipe transforms)
[ $# -gt 0 ] && all=("$@")
declare -A longest=([graph]=400 [onnx]=16384 [skv]=1024 [tensor]=4096 [npy]=2048 [idx]=2048 [png]=4096 [jpeg]=4096 [bmp]=2048 [image]=4096 [table]=2048 [recipe]=2048 [transforms]=400)

mkdir -p "$build/corpus" "$build/findings"
copy_suite() { # the files of the suite below so many kilobytes, under numbers
    [ -d "$suite" ] && [ -d "$build/corpus/$1" ] && [ ! -e "$build/corpus/$1/.suite" ] || return 0
    find "$suite" -name "$2" -size "-$3k" -print0 | sort -z | { i=0; while IFS= read -r -d '' file; do cp "$file" "$build/corpus/$1/$((i++))"; done; }
    touch "$build/corpus/$1/.suite"
}
search() {
    local target=$1 folders=("$build/corpus/$1")
    for folder in "$here/seeds/$target" "$here/regressions/$target"; do [ -d "$folder" ] && folders+=("$folder"); done
    local log=$build/findings/$target.log status=0
    UBSAN_OPTIONS=print_stacktrace=1 "$build/fuzz_$target" -max_len="${longest[$target]}" -max_total_time="$seconds" -timeout=20 -seed="${SKIVE_FUZZ_SEED:-0}" \
        -rss_limit_mb=3000 -artifact_prefix="$build/findings/$target-" -print_final_stats=1 "${folders[@]}" >"$log" 2>&1 || status=$?
    local runs
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ $status -eq 0 ]; then
        echo "fuzz_$target: $runs executions, nothing found"
        rm -f "$log"
        return 0
    fi
    echo "fuzz_$target: a finding after ${runs:-?} executions:"
    grep -m1 -A12 -E 'runtime error|ERROR:|were not freed|with the message' "$log" || tail -20 "$log"
    grep 'Test unit written' "$log" || true
    return 1
}

for target in "${all[@]}"; do mkdir -p "$build/corpus/$target"; done
copy_suite onnx model.onnx 16
copy_suite tensor '*.pb' 4
failed=0
running=0
for target in "${all[@]}"; do
    search "$target" &
    running=$((running + 1))
    if [ $running -ge "$(nproc)" ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
done
while [ $running -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
exit $failed
