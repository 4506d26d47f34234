#!/usr/bin/env bash
# Makes a labelled set of ten spoken words, for proofs: WAV files of one second at 16 kHz, one folder a word, in OUT/train,
# OUT/val and OUT/test, each part with voices of its own, five accents, several speeds and pitches, at a random place of the
# second and with white, pink or brown noise. The same files every time, from the same espeak-ng and sox.
# Usage: make_speech.sh OUT [REPEATS]      REPEATS: of each training voice, accent and speed (default 3, about 4000 files)
set -euo pipefail
out=${1:?usage: make_speech.sh OUT [REPEATS]}
repeats=${2:-3}
words=(yes no up down left right on off stop go)
accents=(en-us en-gb en-gb-scotland en-gb-x-gbcwmd en-029)
declare -A voices=(
    [train]="m1 m2 m3 m4 m5 f1 f2 f3 klatt"
    [val]="m6 Alicia"
    [test]="m7 m8 f4 f5 klatt3"
)
for tool in espeak-ng sox; do
    command -v "$tool" >/dev/null || { echo "make_speech: $tool is missing (Debian and Ubuntu: apt-get install $tool)" >&2; exit 1; }
done
[ -e "$out" ] && { echo "make_speech: $out exists already" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Twenty seconds of each noise, from which pieces are taken. -R: the same random numbers every time.
for noise in white pink brown; do sox -R -n -r 22050 -b 16 -c 1 "$work/$noise.wav" synth 20 "${noise}noise" gain -6; done

# next N: a number from 0 to N - 1 in $number, by the generator of Numerical Recipes
state=1
next() {
    state=$(((state * 1664525 + 1013904223) & 0xffffffff))
    number=$(((state >> 8) % $1))
}

# one FILE WORD ACCENT VOICE SPEED
one() {
    local pitch start level from noise
    next 40; pitch=$((30 + number))
    next 250; start=0.$(printf %03d "$number")
    next 1800; from=$((number / 100)).$(printf %02d $((number % 100)))
    next 3; noise=$(echo white pink brown | cut -d' ' -f$((number + 1)))
    next 12; level=0.$(printf %02d "$number") # of the noise; the word has 0.7
    espeak-ng -v "$3+$4" -s "$5" -p "$pitch" -w "$work/word.wav" "$2"
    sox -R -D -m -v 0.7 "|sox $work/word.wav -p pad $start" -v "$level" "|sox $work/$noise.wav -p trim $from 1" \
        -b 16 "$1" rate 16000 trim 0 1 pad 0 0.001 trim 0 16000s
}

for part in train val test; do
    for word in "${words[@]}"; do
        mkdir -p "$work/set/$part/$word"
        for voice in ${voices[$part]}; do
            for accent in "${accents[@]}"; do
                for speed in 120 160 200; do
                    times=1
                    [ $part = train ] && times=$repeats
                    for ((i = 0; i < times; i++)); do
                        one "$work/set/$part/$word/$accent-$voice-$speed-$i.wav" "$word" "$accent" "$voice" "$speed"
                    done
                done
            done
        done
    done
    echo "$part: $(find "$work/set/$part" -name '*.wav' | wc -l) files, $(echo "${voices[$part]}" | wc -w) voices"
done
mv "$work/set" "$out"
