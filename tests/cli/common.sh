# Shared by the tests of the command. The first argument is the skive to test.
set -u
skive=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0
checks=0

# expect STATUS PATTERN COMMAND...: the command ends with STATUS, and what it prints has a line with PATTERN (for grep -E;
# empty: it may print anything).
expect() {
    local status=$1 pattern=$2 got
    shift 2
    checks=$((checks + 1))
    "$@" >out.txt 2>err.txt
    got=$?
    if [ "$got" -ne "$status" ]; then
        echo "FAIL: status $got instead of $status: $*"
        cat out.txt err.txt
        failures=$((failures + 1))
    elif [ -n "$pattern" ] && ! cat out.txt err.txt | grep -qE -- "$pattern"; then
        echo "FAIL: nothing like /$pattern/ from: $*"
        cat out.txt err.txt
        failures=$((failures + 1))
    fi
}

# A budget of time: met, with the pattern in the output, or told to be out of reach, since a machine that does other work
# may measure anything.
expect_time() {
    local pattern=$1
    shift
    checks=$((checks + 1))
    "$@" >out.txt 2>err.txt
    case $? in
        0) cat out.txt err.txt | grep -qE -- "$pattern" && return ;;
        11) grep -qE 'ms (is below the smallest|cannot be reached)' err.txt && return ;;
    esac
    echo "FAIL: neither /$pattern/ nor a time out of reach: $*"
    cat out.txt err.txt
    failures=$((failures + 1))
}

# A failure tells what is wrong in one line on standard error.
one_line() {
    checks=$((checks + 1))
    if [ "$(grep -c '^skive' err.txt)" -ne 1 ]; then
        echo "FAIL: not one line of message:"
        cat err.txt
        failures=$((failures + 1))
    fi
}

absent() {
    checks=$((checks + 1))
    if [ -e "$1" ]; then
        echo "FAIL: $1 was left behind"
        failures=$((failures + 1))
    fi
}

no_leftovers() {
    checks=$((checks + 1))
    if find "${1:-.}" -name '*.tmp*' -o -name '.*.tmp*' -o -name '*~' | grep -q .; then
        echo "FAIL: temporary files were left behind"
        find "${1:-.}" -name '*tmp*'
        failures=$((failures + 1))
    fi
}

# Where onnx and onnxruntime are installed (tests/oracle/setup.sh), they must take every file that skive has written here.
others_read_them() {
    local venv=${SKIVE_ORACLE_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/skive/oracle}
    [ -f "$venv/skive-oracle.stamp" ] || return 0 # another test may be installing them
    checks=$((checks + 1))
    "$venv/bin/python" "$here/../oracle/check_files.py" "$work" || failures=$((failures + 1))
}

finish() {
    others_read_them
    echo "$checks checks, $failures failures"
    [ "$failures" -eq 0 ]
    exit
}

# A small data set of three separable classes of 8x8 images, as IDX files.
make_data() {
    python3 - "$@" <<'P' 2>/dev/null || perl_data
import random, struct, sys
random.seed(1)
n = 600
images, labels = bytearray(), bytearray()
for i in range(n):
    label = i % 3
    for y in range(8):
        for x in range(8):
            bright = (x // 3 == label)
            images.append(min(255, max(0, int(random.gauss(190 if bright else 60, 40)))))
    labels.append(label)
open('images.idx', 'wb').write(struct.pack('>IIII', 0x803, n, 8, 8) + images)
open('labels.idx', 'wb').write(struct.pack('>II', 0x801, n) + labels)
P
    data=idx:images.idx,labels.idx
}

perl_data() {
    perl -e '
        srand(1); my $n = 600; my ($im, $la) = ("", "");
        for my $i (0 .. $n - 1) {
            my $l = $i % 3;
            for my $y (0 .. 7) { for my $x (0 .. 7) {
                my $v = (int($x / 3) == $l ? 190 : 60) + int(rand(120)) - 60;
                $im .= chr($v < 0 ? 0 : $v > 255 ? 255 : $v);
            } }
            $la .= chr($l);
        }
        open my $f, ">", "images.idx"; binmode $f; print $f pack("NNNN", 0x803, $n, 8, 8), $im; close $f;
        open $f, ">", "labels.idx"; binmode $f; print $f pack("NN", 0x801, $n), $la; close $f;'
}

# Enough samples for an epoch to last, made of copies of the small set.
make_long_data() {
    perl -e '
        local $/; open my $f, "<", "images.idx"; binmode $f; my $im = substr <$f>, 16;
        open $f, "<", "labels.idx"; binmode $f; my $la = substr <$f>, 8;
        open $f, ">", "long.idx"; binmode $f; print $f pack("NNNN", 0x803, 60000, 8, 8), $im x 100; close $f;
        open $f, ">", "long_labels.idx"; binmode $f; print $f pack("NN", 0x801, 60000), $la x 100; close $f;'
}
