#!/usr/bin/env bash
# scripts/deps.sh on releases whose packages have other names, with commands in the place of dpkg-query and the apt tools that know the
# names of a release and note what would be installed. Usage: deps.sh
set -euo pipefail
deps=$(cd "$(dirname "$0")/../../scripts" && pwd)/deps.sh
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/bin"
export OFFERED=$root/offered INSTALLED=$root/installed ASKED=$root/asked
cat >"$root/bin/dpkg-query" <<'END'
#!/bin/sh
for name; do :; done
grep -qx -- "$name" "$INSTALLED" && printf 'ii '
END
cat >"$root/bin/apt-cache" <<'END'
#!/bin/sh
for name; do :; done
grep -qx -- "$name" "$OFFERED" && seq 5000 | sed "s/^/Package: $name /"
END
cat >"$root/bin/apt-get" <<'END'
#!/bin/sh
[ "$1" = install ] && for name; do case $name in install | -*) ;; *) echo "$name" >>"$ASKED" ;; esac; done
exit 0
END
printf '#!/bin/sh\nexec "$@"\n' >"$root/bin/sudo"
printf '#!/bin/sh\necho "${MACHINE:-x86_64}"\n' >"$root/bin/uname"
chmod +x "$root"/bin/*
export PATH=$root/bin:$PATH
failures=0
common="gcc libc6-dev make cmake ninja-build pkg-config libprotobuf-c-dev protobuf-c-compiler libonnx-dev libjansson-dev libpng-dev libjpeg-dev
    zlib1g-dev libsndfile1-dev liblapacke-dev libopenblas0 clang clang-format clang-tidy libomp-dev shellcheck ccache"

# release NAME PACKAGE...: one that offers these and the common ones, with nothing installed
release() {
    name=$1
    shift
    # shellcheck disable=SC2086 # words
    printf '%s\n' $common "$@" >"$OFFERED"
    : >"$INSTALLED"
    : >"$ASKED"
}
run() { "$deps" "$@" >"$root/told" 2>&1; }
check() {
    if ! "$@"; then
        echo "FAIL on $name: $*" >&2
        cat "$root/told" "$ASKED" >&2
        failures=$((failures + 1))
    fi
}
asked() { grep -qx -- "$1" "$ASKED"; }
not_asked() { ! grep -qx -- "$1" "$ASKED"; }
told() { grep -q -- "$1" "$root/told"; }

release "Debian 12" libdnnl-dev libclang-rt-dev libclang-rt-14-dev libjpeg62-turbo-dev
check run build lint
check asked libdnnl-dev
check asked libclang-rt-dev
check not_asked libclang-rt-14-dev
check not_asked libjpeg62-turbo-dev

release "Debian 12 on a board" libdnnl-dev
MACHINE=aarch64 check run build
check not_asked libdnnl-dev
check asked libjpeg-dev

release "Ubuntu" libclang-rt-18-dev libjpeg-turbo8-dev
check run build lint
check asked libclang-rt-18-dev
check told "this release has no libdnnl-dev: skive's own kernels do all the work"

release "one with other names" libdnnl-dev libclang-rt-19-dev
sed -i '/^libjpeg-dev$/d; /^pkg-config$/d' "$OFFERED"
printf 'pkgconf\nlibjpeg62-turbo-dev\n' >>"$OFFERED"
check run build
check asked pkgconf
check asked libjpeg62-turbo-dev

release "one where something else is installed already" libdnnl-dev libclang-rt-dev
echo libjpeg-turbo8-dev >"$INSTALLED"
check run build
check not_asked libjpeg-dev

cp "$ASKED" "$INSTALLED" # and now all of it
echo libjpeg-turbo8-dev >>"$INSTALLED"
: >"$ASKED"
check run build
check test ! -s "$root/told"
check test ! -s "$ASKED"

release "one without protobuf-c"
sed -i '/^libprotobuf-c-dev$/d' "$OFFERED"
if run build; then
    echo "FAIL: the build goes on without libprotobuf-c-dev" >&2
    failures=$((failures + 1))
fi
check told 'this release has no libprotobuf-c-dev, which is needed'

[ $failures -eq 0 ]
echo "deps: the names of four releases"
