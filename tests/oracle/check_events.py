#!/usr/bin/env python3
"""Are event files what TensorBoard reads? Usage: check_events.py SKIVE [--tensorboard PYTHON]

Trains a small network with --log and --tensorboard. The event file is decoded here, from the description of TFRecord files and of the message Event alone,
and its figures must be those of the log. With --tensorboard, a python in which the package tensorboard is installed reads it with TensorBoard's own reader.
"""
import argparse
import glob
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

TAGS = {"steps": {"train/loss": "loss", "train/accuracy": "accuracy", "train/learning_rate": "learning_rate",
                  "train/samples_per_second": "samples_per_second", "train/waited_seconds": "waited"},
        "epoch": {"epoch/loss": "loss", "epoch/accuracy": "accuracy", "epoch/validation_loss": "validation_loss",
                  "epoch/validation_accuracy": "validation_accuracy", "epoch/validation_f1": "validation_f1", "epoch/seconds": "epoch_seconds"}}
READER = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0}).Reload()
print(json.dumps({t: [[s.step, s.value] for s in a.Scalars(t)] for t in a.Tags()["scalars"]}))
"""


def crc32c(data):
    c = 0xFFFFFFFF
    for byte in data:
        c ^= byte
        for _ in range(8):
            c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
    return c ^ 0xFFFFFFFF


def masked(data):
    c = crc32c(data)
    return ((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    while data:
        length, crc = struct.unpack("<QI", data[:12])
        assert crc == masked(data[:8]), "CRC of a length"
        body, rest = data[12:12 + length], data[12 + length:]
        assert struct.unpack("<I", rest[:4])[0] == masked(body), "CRC of a record"
        yield body
        data = rest[4:]


def fields(message):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, message[at:at + size]
        at += size


def decode(path):
    figures, version = {}, None
    with open(path, "rb") as f:
        for record in records(f.read()):
            event = dict(fields(record))
            assert struct.unpack("<d", event[1])[0] > 1.6e9, "the time of an event"
            version = version or event.get(3)
            for _, value in fields(event.get(5, b"")):
                value = dict(fields(value))
                figures.setdefault(value[1].decode(), []).append([event.get(2, 0), struct.unpack("<f", value[2])[0]])
    assert version == b"brain.Event:2", version
    return figures


def logged(path):
    figures = {}
    with open(path) as f:
        for line in map(json.loads, f):
            for tag, key in TAGS.get(line["event"], {}).items():
                figures.setdefault(tag, []).append([line["step"], line[key]])
    return figures


def same(a, b):
    return a.keys() == b.keys() and all(
        len(a[t]) == len(b[t]) and all(x[0] == y[0] and math.isclose(x[1], y[1], rel_tol=1e-6, abs_tol=1e-12) for x, y in zip(a[t], b[t])) for t in a)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("skive")
    parser.add_argument("--tensorboard")
    args = parser.parse_args()
    skive = os.path.abspath(args.skive)
    with tempfile.TemporaryDirectory() as work:
        random.seed(1)
        images, labels = bytearray(), bytearray()
        for i in range(600):
            labels.append(i % 3)
            images += bytes(min(255, max(0, int(random.gauss(190 if k % 8 // 3 == i % 3 else 60, 40)))) for k in range(64))
        with open(work + "/images", "wb") as f:
            f.write(struct.pack(">IIII", 0x803, 600, 8, 8) + images)
        with open(work + "/labels", "wb") as f:
            f.write(struct.pack(">II", 0x801, 600) + labels)
        command = [skive, "train", "mlp:16", "--data", "idx:images,labels", "--epochs", "3", "--batch", "16", "-q", "--log", "log", "--tensorboard", "board",
                   "--checkpoint", "c", "-o", "m.onnx"]
        subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([x if x != "3" else "4" for x in command], cwd=work, check=True, stdout=subprocess.DEVNULL)  # goes on
        (path,) = glob.glob(work + "/board/train-*/events.out.tfevents.*")
        want, got = logged(work + "/log"), decode(path)
        if not same(want, got):
            sys.exit("the event file has other figures than the log")
        print("%d figures under %d tags are those of the log" % (sum(map(len, got.values())), len(got)))
        if args.tensorboard:
            out = subprocess.run([args.tensorboard, "-c", READER, os.path.dirname(path)], check=True, capture_output=True, text=True).stdout
            if not same(json.loads(out.splitlines()[-1]), got):
                sys.exit("TensorBoard reads other figures")
            print("and TensorBoard reads the same")


main()
