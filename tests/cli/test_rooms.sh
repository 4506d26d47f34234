#!/usr/bin/env bash
# scripts/rooms.pl: the tree keeps the rule of rooms, and the script tells file and line of what breaks it.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
rooms=$top/scripts/rooms.pl
fail() { echo "FAIL: $*" >&2; exit 1; }

found=$(cd "$top" && perl "$rooms") || fail "the tree: $found"
[ -z "$found" ] || fail "it passes and says: $found"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/docs "$tree"/cli "$tree"/examples "$tree"/src/{base,graph,ops/math,prune,quant}
cat > "$tree/docs/architecture.md" <<'PAGE'
| folder | contents | lists |
|---|---|---|
| `src/base/` | one | |
| `src/graph/` | two | |
| `src/ops/` | three | `ops.inc` |
| `src/prune/` `src/quant/` | four | |
PAGE
# right: above, itself, public headers, a list, what is generated
printf '#include <string.h>\n#include "base/a.h"\n#include "graph/a.h"\n#include "ops/ops.inc"\n#include "onnx.pb-c.h"\n' > "$tree/src/ops/math/right.c"
printf '#include <skive/skive.h>\n#include "commands.inc"\n' > "$tree/cli/main.c"
: > "$tree/cli/commands.inc"
found=$(perl "$rooms" "$tree") || fail "a tree without a fault: $found"

wrong() { # wrong FILE 'LINES' 'WHAT IT SAYS'
    printf '%b' "$2" > "$tree/$1"
    if found=$(perl "$rooms" "$tree"); then fail "$1 was let through"; fi
    [ "$(wc -l <<<"$found")" = 1 ] || fail "$1: more than one fault: $found"
    grep -qE "$3" <<<"$found" || fail "$1: it says $found"
    rm "$tree/$1"
}
wrong src/graph/a.c '#include "base/a.h"\n\n#include "ops/a.h"\n' 'src/graph/a\.c:3: .*"ops/a\.h".*below'
wrong src/graph/a.h '  #  include "ops/math/a.h"\n' 'src/graph/a\.h:1: .*below'
wrong src/prune/a.inc '#include "quant/a.h"\n' 'src/prune/a\.inc:1: .*beside'
wrong src/ops/math/a.c '#include "prune/a.h"\n' 'src/ops/math/a\.c:1: .*below'
wrong src/ops/a.c '#include "nowhere/a.h"\n' 'src/ops/a\.c:1: .*no folder src/nowhere/'
wrong src/ops/a.c '#include "a.h"\n' 'src/ops/a\.c:1: .*names no folder'
wrong cli/a.c '#include "base/a.h"\n' 'cli/a\.c:1: .*public headers only'
wrong examples/a.c '#include "graph/a.h"\n' 'examples/a\.c:1: .*public headers only'
# what the page shows is what the tree has
mkdir -p "$tree/examples/extend"
printf 'X(own)\n' > "$tree/src/ops/ops.inc"
printf 'X(more)\n' > "$tree/examples/extend/ops.inc"
printf 'a\n\nb\n' > "$tree/src/ops/own.c"
: > "$tree/examples/extend/more.c"
cp "$tree/docs/architecture.md" "$tree/page"
# shellcheck disable=SC2016 # the fence of a block
show() { cp "$tree/page" "$tree/docs/architecture.md"; printf '```diff\n%b```\n' "$1" >> "$tree/docs/architecture.md"; }
lists='--- a/src/ops/ops.inc\n+++ b/src/ops/ops.inc\n@@\n'
file='--- /dev/null\n+++ b/src/ops/own.c\n@@\n'
show "$lists X(own)\n+X(more)  examples/extend/more.c: one\n$file+a\n+\n+b\n"
found=$(perl "$rooms" "$tree") || fail "a page that shows what is there: $found"
differs() { # differs 'DIFF' 'WHAT IT SAYS'
    show "$1"
    if found=$(perl "$rooms" "$tree"); then fail "a page that shows $1 was let through"; fi
    grep -qE "$2" <<<"$found" || fail "it says $found"
}
differs "$lists+X(other)\n" 'ops\.inc does not have X\(other\)'
differs "$lists+X(more)  examples/extend/gone.c: one\n" 'examples/extend/gone\.c does not exist'
differs "$file+a\n+b\n" 'src/ops/own\.c has other lines'
differs "--- /dev/null\n+++ b/src/ops/gone.c\n@@\n+a\n" 'src/ops/gone\.c does not exist'
cp "$tree/page" "$tree/docs/architecture.md"
mkdir "$tree/src/new"
found=$(perl "$rooms" "$tree") && fail "a folder that is not in the table was let through"
grep -q 'src/new: is not in the table' <<<"$found" || fail "it says $found"
rmdir "$tree/src/new" "$tree/src/quant"
found=$(perl "$rooms" "$tree") && fail "a line without a folder was let through"
grep -q 'architecture\.md:6: src/quant/ does not exist' <<<"$found" || fail "it says $found"
echo "ok"
