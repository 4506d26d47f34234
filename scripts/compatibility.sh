#!/usr/bin/env bash
# Which models run, and how they compare with onnxruntime: writes docs/compatibility.md from the ONNX backend suite and, when FOLDER is there, from
# the models below it. Usage: compatibility.sh BUILD-FOLDER FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
models=$2
page=docs/compatibility.md
if [ ! -d "$models" ]; then
    echo "compatibility.sh: no models in $models; $page stays as it is"
    exit 0
fi
python=$(tests/oracle/setup.sh)
work=$(mktemp)
trap 'rm -f "$work"' EXIT
cpu=$("$build/skive" bench --help >/dev/null && sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
{
    echo "# Models and operators that run"
    echo
    echo "Made by \`scripts/compatibility.sh\`, a part of \`make proof\`."
    echo
    echo "## The ONNX backend suite"
    echo
    echo "Debian's \`libonnx-testdata\`: every output within rtol 1e-3, atol 1e-5, integers exactly (\`$build/test_suite --table\`). Left out, by reason:"
    echo "sequences, strings, training operators, random numbers (the expected ones come from NumPy's generator), optionals; bfloat16 that was cut"
    echo "off where the specification rounds. Each is named in [tests/suite_expected.txt](../tests/suite_expected.txt)."
    echo
    "$build/test_suite" --table
    echo
    echo "## Real models"
    echo
    echo "Made by other people's exporters (Paddle, tf2onnx, spox). Differences are to onnxruntime $("$python" -c 'import onnxruntime; print(onnxruntime.__version__)'), of"
    echo "the largest value; times are medians, batch 1, taken in turns on two cores (${cpu:-unknown}); a ratio above 1 says skive is faster."
    echo
    "$python" tests/oracle/check_models.py "$models" --skive "$build/skive"
} >"$work"
mv "$work" "$page"
chmod 644 "$page"
trap - EXIT
echo "wrote $page"
