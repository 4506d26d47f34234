#!/bin/bash
# Measures how long training waits for data, for each kind of data set, and writes docs/results/loader.md.
#   scripts/loader_results.sh [build/skive] [output]      needs perl; about two minutes
set -eu
cd "$(dirname "$0")/.."
skive=$(realpath "${1:-build/skive}")
out=${2:-docs/results/loader.md}
threads=${THREADS:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- data sets of every kind, made here ----

# N grey or colour pictures of WxH as BMP: folder WIDTH HEIGHT N
photos() {
    perl -e 'srand(1); my ($dir, $w, $h, $n) = @ARGV;
        for my $i (0 .. $n - 1) {
            my $class = $i % 4; mkdir "$dir/$class";
            my $line = 3 * $w + (4 - 3 * $w % 4) % 4;
            my $body = pack("VVVvvVVVVVV", 40, $w, $h, 1, 24, 0, 0, 0, 0, 0, 0) .
                join("", map { my $y = $_; my $row = join("", map { pack("CCC", ($_ * 5 + $i) % 256, ($y * 3 + 60 * $class) % 256, int(rand(256))) } 1 .. $w);
                    $row . "\0" x ($line - 3 * $w) } 1 .. $h);
            open my $f, ">", "$dir/$class/$i.bmp"; binmode $f; print $f "BM", pack("VVV", 14 + length($body), 0, 54), $body; close $f }' "$@"
}
# N sounds of one second at 16 kHz as WAV: folder N
sounds() {
    perl -e 'srand(1); my ($dir, $n) = @ARGV;
        for my $i (0 .. $n - 1) {
            my $class = $i % 4; mkdir "$dir/$class";
            my $data = pack("s<*", map { 8000 * sin($_ * 0.05 * (1 + $class) * (1 + 0.1 * rand())) } 1 .. 16000);
            open my $f, ">", "$dir/$class/$i.wav"; binmode $f;
            print $f "RIFF", pack("V", 36 + length($data)), "WAVEfmt ", pack("VvvVVvv", 16, 1, 1, 16000, 32000, 2, 16), "data", pack("V", length($data)), $data;
            close $f }' "$@"
}
# A table of N rows: file N
table() {
    perl -e 'srand(1); my $n = shift; print join(",", (map { "x$_" } 1 .. 30), "label"), "\n";
        for my $i (1 .. $n) { my $c = $i % 3; print join(",", (map { sprintf "%.4f", $c * ($_ % 3) + rand() } 1 .. 30), "class$c"), "\n" }' "$2" > "$1"
}
mkdir "$work/small" "$work/large" "$work/sound"
photos "$work/small" 32 32 1200
photos "$work/large" 160 120 400
sounds "$work/sound" 600
table "$work/table.csv" 20000

# ---- runs ----

row() { # what, network, augment, data and options...
    local what=$1 network=$2 augment=$3 log=$work/log end
    shift 3
    rm -f "$log"
    if ! "$skive" train "$network" --data "$@" --epochs 1 --threads "$threads" --quiet --log "$log" -o "$work/m.onnx" \
        ${augment:+--augment "$augment"} > "$work/said" 2>&1; then
        echo "not measured: $what: $(grep -m1 '^skive' "$work/said" || tail -1 "$work/said")" >&2
        return
    fi
    end=$(grep '"event":"end"' "$log" | tail -1)
    perl -e 'my ($what, $network, $augment, $line, $epoch) = @ARGV;
        my ($s) = $line =~ /"seconds":([0-9.e+-]+)/; my ($w) = $line =~ /"waited":([0-9.e+-]+)/;
        my ($rate) = $epoch =~ /"samples_per_second":([0-9.e+-]+)/;
        printf "| %s | %s | %s | %.0f | %.2f %% |\n", $what, $network, $augment ? "`$augment`" : "none", $rate, 100 * $w / $s;' \
        "$what" "$network" "$augment" "$end" "$(grep '"event":"epoch"' "$log" | tail -1)"
}

{
    echo "# Waiting for data"
    echo
    echo "Share of the time of training in which it waits for the loader, which prepares batches on one thread of its own beside"
    echo "$threads thread$([ "$threads" = 1 ] || echo s) of training. Made by \`scripts/loader_results.sh\` on $(nproc) cores ($(uname -m)), load $(cut -d' ' -f1 /proc/loadavg), $(date -u +%Y-%m-%d). The"
    echo "data sets are made by the script, except Fashion-MNIST."
    echo
    echo "| data | network | augmentation | samples/s | waiting |"
    echo "|---|---|---|---|---|"
    if [ -e /usr/share/datasets/fashion-mnist ]; then
        row "Fashion-MNIST, in memory" lenet5 "" fashion-mnist --limit 12000
        row "Fashion-MNIST, in memory" lenet5 crop:2,flip,rotate:10 fashion-mnist --limit 12000
        row "Fashion-MNIST, in memory" lenet5 randaugment,erase fashion-mnist --limit 12000
    fi
    row "folder of 32x32 BMP" resnet20 "" "folder:$work/small"
    row "folder of 32x32 BMP" resnet20 crop:4,flip,color "folder:$work/small"
    row "folder of 32x32 BMP" resnet20 augmix,cutmix "folder:$work/small"
    row "folder of 160x120 BMP, resized to 64x64" resnet20:0.5 "" "folder:$work/large" --resize 64
    row "folder of 160x120 BMP, resized to 64x64" resnet20:0.5 resized-crop:0.3,flip,color,blur "folder:$work/large" --resize 64
    row "sounds, MFCC" resnet20:0.5 "" "audio:$work/sound,features=mfcc"
    row "sounds, log-mel" resnet20:0.5 specaugment "audio:$work/sound,features=logmel"
    row "table of 30 columns (csv)" mlp:64 "" "csv:$work/table.csv,label=label"
    row "table of 30 columns (csv)" mlp:64 column-noise,mixup "csv:$work/table.csv,label=label"
    echo
    echo "A step of the small network on tables takes some tens of microseconds, about as long as preparing and handing over its"
    echo "batch: such a run waits for a good part of its time, which is short. The more other programs use the processors, the"
    echo "larger the shares: loader and training then wait for a processor in turn."
} > "$work/page"
cp "$work/page" "$out"
cat "$out"
