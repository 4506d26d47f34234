#!/bin/bash
# The terminal of a training is closed: what the last finished epoch had reached is saved; under nohup training goes on.
. "$(dirname "$0")/common.sh"
make_data
# hang_up COMMAND...: SIGHUP, twice as a shell and the system may send it, once an epoch is done. Prints the exit status.
hang_up() {
    local pid
    "$@" >out.txt 2>err.txt &
    pid=$!
    for _ in $(seq 200); do
        grep -q 'epoch 2/' err.txt && break
        sleep 0.05
    done
    kill -HUP $pid
    kill -HUP $pid 2>/dev/null
    wait $pid
    echo $?
}
expect 0 '^130$' hang_up "$skive" train mlp:16 --data $data --epochs 100000 --batch 8 -o stopped.onnx
expect 0 'accuracy' "$skive" eval stopped.onnx --data $data
expect 0 '^0$' hang_up nohup "$skive" train mlp:16 --data $data --epochs 300 --batch 8 -o whole.onnx
expect 0 'accuracy' "$skive" eval whole.onnx --data $data
no_leftovers
finish
