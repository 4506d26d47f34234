#!/usr/bin/env bash
# Idle threads spin shortly unless the user says otherwise, and the command does not start itself again for that: it keeps
# its process and its environment, and needs no /proc. OMP_DISPLAY_ENV makes GNU OpenMP tell what it has read.
. "$(dirname "$0")/common.sh"

# spins EXPECTED VARIABLE...: what the runtime has read, which it tells once for each time that the program was started
spins() {
    local expected=$1 told
    shift
    checks=$((checks + 1))
    told=$(env -i OMP_DISPLAY_ENV=verbose "$@" "$skive" --version 2>&1 | sed -n "s/.*GOMP_SPINCOUNT *= *'\(.*\)'/\1/p" | paste -sd ' ')
    if [ "$told" != "$expected" ]; then
        echo "FAIL: GOMP_SPINCOUNT was read as '$told', not as '$expected', with: $*"
        failures=$((failures + 1))
    fi
}

if OMP_DISPLAY_ENV=verbose "$skive" --version 2>&1 | grep -q GOMP_SPINCOUNT; then
    spins 10000
    spins 77 GOMP_SPINCOUNT=77
    spins 0 OMP_WAIT_POLICY=passive
fi

# The environment with which the running process was started is the one that was given.
mkfifo slow
env -i "$skive" inspect - <slow >/dev/null 2>&1 &
pid=$!
exec 3>slow
for _ in $(seq 100); do # until it waits for the model
    [ "$(cut -d ' ' -f 3 /proc/$pid/stat 2>/dev/null)" = S ] && [ "$(cat /proc/$pid/comm)" = skive ] && break
    sleep 0.02
done
if [ -r /proc/$pid/environ ]; then
    checks=$((checks + 1))
    if tr '\0' '\n' <"/proc/$pid/environ" | grep -q '^GOMP_SPINCOUNT='; then
        echo "FAIL: the command started itself again"
        failures=$((failures + 1))
    fi
fi
exec 3>&-
wait $pid
finish
