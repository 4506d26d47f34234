#!/usr/bin/env bash
# tests/fuzz/run.sh BUILD SECONDS [TARGET ...]: lets each fuzz target of BUILD (preset "fuzz") search for so many seconds. It starts from the
#   seeds here and from the models and tensors of the ONNX backend suite, and keeps what it learns in BUILD/corpus. SKIVE_FUZZ_SEED, when not
#   0, is the first random number.
# tests/fuzz/run.sh BUILD fixed [TARGET ...]: the same search each time, on whatever machine: a fixed seed and number of runs for each target,
#   nothing kept from earlier searches, the kernels of one instruction-set level, addresses not random where the system allows that. It prints
#   how many features were reached and how many inputs were kept; two runs of one build have the same numbers.
# As many targets run side by side as there are processors. Ends with one line a target; fails when one found something, which then lies in
# BUILD/findings.
set -euo pipefail
build=$(realpath "$1")
seconds=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
suite=/usr/share/libonnx-testdata/data
all=(graph onnx skv tensor npy idx png jpeg bmp image table recipe transforms)
[ $# -gt 0 ] && all=("$@")
declare -A longest=([graph]=400 [onnx]=16384 [skv]=1024 [tensor]=4096 [npy]=2048 [idx]=2048 [png]=4096 [jpeg]=4096 [bmp]=2048 [image]=4096 [table]=2048 [recipe]=2048 [transforms]=400)
# How many runs a fixed search makes: about 5 minutes of processor time for all.
declare -A runs=([graph]=60000 [onnx]=360000 [skv]=160000 [tensor]=360000 [npy]=500000 [idx]=300000 [png]=1600000 [jpeg]=950000 [bmp]=2100000 [image]=750000 [table]=40000 [recipe]=20000 [transforms]=25000)

mkdir -p "$build/corpus" "$build/findings"
suite_files() { # NAME-PATTERN KILOBYTES: the files of the suite below so many kilobytes, in one order
    [ ! -d "$suite" ] || find "$suite" -name "$1" -size "-$2k" | LC_ALL=C sort
}
suite_of() { # TARGET: of the suite, what it starts from
    case $1 in
    onnx) suite_files model.onnx 16 ;;
    tensor) suite_files '*.pb' 4 ;;
    esac
}
copy_suite() {
    [ -d "$suite" ] && [ ! -e "$build/corpus/$1/.suite" ] || return 0
    local i=0
    while IFS= read -r file; do cp "$file" "$build/corpus/$1/$((i++))"; done < <(suite_of "$1")
    touch "$build/corpus/$1/.suite"
}
folders_of() {
    local folder
    for folder in "$here/seeds/$1" "$here/regressions/$1"; do [ ! -d "$folder" ] || echo "$folder"; done
}
still=()
setarch -R true 2>/dev/null && still=(setarch -R)
command_of() { # TARGET: fills `command`
    command=("$build/fuzz_$1" -max_len="${longest[$1]}" -timeout=20 -rss_limit_mb=3000 -artifact_prefix="$build/findings/$1-" -print_final_stats=1)
    local folders
    mapfile -t folders < <(folders_of "$1")
    if [ "$seconds" = fixed ]; then
        # Without a folder of its own a search neither writes what it finds nor looks for what others found. The list of files is one
        # argument, because the order in which a folder gives its files depends on the file system.
        { suite_of "$1"; [ ${#folders[@]} -eq 0 ] || find "${folders[@]}" -type f; } | LC_ALL=C sort | paste -sd, | tr -d '\n' >"$build/findings/$1.seeds"
        command=("${still[@]}" "${command[@]}" -seed=1 -runs="${runs[$1]}" -timeout=120)
        [ ! -s "$build/findings/$1.seeds" ] || command+=(-seed_inputs="@$build/findings/$1.seeds")
    else
        copy_suite "$1"
        command+=(-max_total_time="$seconds" -seed="${SKIVE_FUZZ_SEED:-0}" "$build/corpus/$1" "${folders[@]}")
    fi
}
search() {
    local target=$1 log=$build/findings/$1.log status=0 command
    command_of "$target"
    (
        [ "$seconds" != fixed ] || export SKIVE_ISA=avx2
        export UBSAN_OPTIONS=print_stacktrace=1
        exec "${command[@]}"
    ) >"$log" 2>&1 || status=$?
    local done_runs reached
    done_runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    reached=$(sed -n 's/^#[0-9]*[[:space:]]*DONE .*ft: \([0-9]*\) corp: \([0-9]*\).*/\1 features, \2 inputs, /p' "$log")
    if [ $status -eq 0 ]; then
        echo "fuzz_$target: $done_runs executions, ${reached}nothing found"
        rm -f "$log" "$build/findings/$target.seeds"
        return 0
    fi
    echo "fuzz_$target: a finding after ${done_runs:-?} executions:"
    grep -m1 -A12 -E 'runtime error|ERROR:|were not freed|with the message' "$log" || tail -20 "$log"
    grep 'Test unit written' "$log" || true
    return 1
}

[ "$seconds" = fixed ] || for target in "${all[@]}"; do mkdir -p "$build/corpus/$target"; done
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
