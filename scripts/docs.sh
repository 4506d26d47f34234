#!/usr/bin/env bash
# Writes the generated pages: docs/tables.md, docs/skive.1 and the completions of bash and zsh. With --check only tells whether they are up to date.
# Usage: docs.sh BUILD-FOLDER [--check]
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
out=docs
if [ "${2:-}" = --check ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
cmake --build "$build" --target skive_tables skive >/dev/null
"$build/skive_tables" >"$out/tables.md"
"$build/skive" help --man >"$out/skive.1"
mkdir -p "$out/completions"
"$build/skive" help --bash >"$out/completions/skive.bash"
"$build/skive" help --zsh >"$out/completions/_skive"
if [ "$out" != docs ]; then
    for page in tables.md skive.1 completions/skive.bash completions/_skive; do
        cmp "docs/$page" "$out/$page" || { echo "docs/$page is not up to date: run make docs" >&2; exit 1; }
    done
fi
