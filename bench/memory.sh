#!/bin/sh
# Peak memory of static quantization must stay under a limit and not grow with the number of calibration images.
#   bench/memory.sh MODEL.onnx [METHOD ...]     default: all calibrators
# Environment: BUILD (default build), IMAGES (default "100 300 1000"), LIMIT_MB (400), GROWTH_MB (5), THREADS (2).
# Exit status: 0 flat and under the limit, 1 not.
set -u
cd "$(dirname "$0")/.." || exit 1
[ $# -ge 1 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
model=$1
shift
methods=${*:-minmax percentile mse entropy}
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
status=0
for method in $methods; do
    first=
    for images in ${IMAGES:-100 300 1000}; do
        # a process of its own for each, since a peak never goes down
        bytes=$(printf 'run 1\nquit\n' | "${BUILD:-build}/bench_quantize" "$model" --out "$out" --method "$method" \
            --images "$images" --threads "${THREADS:-2}" | sed -n 's/.*"peak_rss_bytes":\([0-9]*\).*/\1/p')
        [ -n "$bytes" ] || { echo "$method, $images images: not measured" >&2; exit 1; }
        mb=$((bytes / 1000000))
        first=${first:-$mb}
        verdict=ok
        [ "$mb" -lt "${LIMIT_MB:-400}" ] || { verdict="over the limit"; status=1; }
        [ $((mb - first)) -le "${GROWTH_MB:-5}" ] || { verdict="it grows"; status=1; }
        printf '%-10s %6d images  peak %4d MB  %s\n' "$method" "$images" "$mb" "$verdict"
    done
done
exit $status
