"""Networks without a part of their channels against the same networks with these channels masked, in onnxruntime, and
the processor time of both in skive, one thread, in turns:

    proof_prune.py SKIVE [--share 0.3] [--multiple 16] [--models FOLDER] [--only NAME]

At random exactly the share goes; by L1, what remains of families twice as wide as the multiple is rounded to it, because
kernels of convolutions work on blocks of 16 channels.

The networks are the built-in ones, those of export_graphs.py and the ONNX files below FOLDER. Needs build/shrink_model
beside SKIVE. Prints the rows of a table in Markdown, and ends with 1 if a row fails."""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import onnx

import export_graphs
from check_shrink import gap, is_integer

import numpy as np

BUILT_IN = ["mlp", "lenet5", "vgg-small:0.5", "vgg16:0.25", "resnet8", "resnet14", "resnet20", "resnet32",
            "resnet18:0.25", "resnet50:0.25", "densenet", "squeezenet:0.5", "mobilenet:0.25", "mobilenetv2:0.35",
            "mobilenetv3-small:0.5", "efficientnet-b0:0.5", "ds-cnn", "vit:dim=64,depth=2,heads=4,patch=4",
            "transformer:dim=64,depth=2,heads=4", "lstm", "gru", "crnn:0.25", "unet:0.125", "autoencoder"]


def run(tool, model, folder, share, by, multiple):
    small, masked = folder / "small.onnx", folder / "masked.onnx"
    for path in (small, masked):
        path.unlink(missing_ok=True)
    done = subprocess.run([tool, model, small, masked, str(share), "1", by, "time", str(multiple)],
                          capture_output=True, text=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return done, {row[0]: row[1:] for row in rows if row[0] != "layer"}, small, masked, rows


def reasons(rows):
    """Of what has to stay: the first three that are no output or input of the model."""
    found = []
    for row in rows:
        if row[0] == "layer" and row[5] and "output of the model" not in row[5] and row[5] not in found:
            found.append(row[5])
    return "; ".join(found[:3])


def check(tool, model, folder, share, by, multiple):
    done, table, small, masked, rows = run(tool, model, folder, share, by, multiple)
    if done.returncode == 3:
        return True, None, ["-", "-", "-", "-", "-", f"nothing can be removed: {reasons(rows)}"]
    if done.returncode:
        return False, None, ["-", "-", "-", "-", "-", f"FAILED: {done.stderr.strip()}"]
    onnx.checker.check_model(onnx.load(str(small)), full_check=True)
    difference = gap(small, masked, np.random.default_rng(1))
    limit = 0.05 if is_integer(small) else 1e-5
    right = difference <= limit
    macs, parameters = ([int(x) for x in table[key]] for key in ("macs", "parameters"))
    times = [float(x) for x in table["latency"]] if "latency" in table else None
    speed = times[0] / times[1] if times else None
    notes = [] if right else ["FAILED"]
    notes += ["rounding may fall to the other side: limit 0.05"] if limit > 1e-5 and difference > 1e-5 else []
    notes += [reasons(rows)] if reasons(rows) else []
    cells = [f"{macs[1] / max(macs[0], 1):.1%}", f"{parameters[1] / max(parameters[0], 1):.1%}", f"{difference:.1e}",
             f"{1e3 * times[0]:.3f}" if times else "-",
             f"{speed:.2f}x{' (slower)' if speed < 0.97 else ''}" if times else "-", "; ".join(notes)]
    return right, speed, cells


def main():
    args = argparse.ArgumentParser()
    args.add_argument("skive")
    args.add_argument("--share", type=float, default=0.3)
    args.add_argument("--multiple", type=int, default=16, help="by l1: of the widths that remain")
    args.add_argument("--models", default="../shared/models")
    args.add_argument("--only", default="")
    a = args.parse_args()
    tool = pathlib.Path(a.skive).parent / "shrink_model"
    wrong, speeds, count = 0, {"random": [], "l1": []}, 0
    print("| network | channels | MACs left | parameters left | difference | dense, ms | faster | |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "exports").mkdir()
        for make in export_graphs.ALL:
            make(folder / "exports")
        models = ["zoo:" + spec for spec in BUILT_IN]
        models += sorted(str(p) for p in (folder / "exports").glob("*.onnx"))
        models += sorted(str(p) for p in pathlib.Path(a.models).glob("**/*.onnx"))
        for model in models:
            label = model[4:] if model.startswith("zoo:") else pathlib.Path(model).stem
            if a.only not in label:
                continue
            count += 1
            for by, multiple in (("random", 1), ("l1", a.multiple)):
                right, speed, cells = check(tool, model, folder, a.share, by, multiple)
                wrong += not right
                speeds[by] += [speed] if speed else []
                print(f"| {label.replace('|', '/')} | {by} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{count} networks; {wrong} rows failed.")
    for by, all in speeds.items():
        if all:
            slower = sum(s < 0.97 for s in all)
            print(f"{by}: median speed-up {np.median(all):.2f}x, least {min(all):.2f}x; {slower} of {len(all)} rows are slower "
                  "than before by more than 3 %.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
