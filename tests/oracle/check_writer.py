#!/usr/bin/env python3
"""Is every file that skive writes one that others read? Usage: check_writer.py SKIVE [FOLDER OF MODELS]

Each model of the ONNX backend suite, and the same with every default attribute spelt out under the newest opset that takes it, goes through
`skive simplify` and through `skive pack` and `skive unpack`. What comes out must pass onnx.checker, and onnxruntime must load it when it loads the
original, and then give the same numbers on the suite's inputs. Prints a line for each file that does not, then the counts; exit status 1 when there was one.
"""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import checker, defs, helper, numpy_helper

SUITE = "/usr/share/libonnx-testdata/data"
NEWEST = 23
RANDOM = ("Random", "Bernoulli", "Multinomial", "Dropout")  # beginnings of names of operators whose numbers are their own each time
onnxruntime.set_default_logger_severity(4)


def results(path, feed):
    """Outputs of the model in onnxruntime; None when it does not run."""
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), feed)})
    except Exception:
        return None


def inputs_beside(path):
    """The first data set of the suite for this model; None where one is no tensor."""
    feed = []
    while True:
        one = os.path.join(os.path.dirname(path), "test_data_set_0", "input_%d.pb" % len(feed))
        if not os.path.exists(one):
            return feed
        try:
            with open(one, "rb") as f:
                feed.append(numpy_helper.to_array(onnx.TensorProto.FromString(f.read())))
        except Exception:
            return None


def differ(want, got):
    if len(want) != len(got):
        return True
    for a, b in zip(want, got):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or a.dtype != b.dtype:
            return True
        if a.dtype.kind not in "fiub":
            continue  # text, sequences
        scale = max(1.0, float(np.nanmax(np.abs(np.where(np.isfinite(a), a, 0).astype(np.float64)), initial=0)))
        if not np.allclose(a.astype(np.float64), b.astype(np.float64), rtol=1e-3, atol=1e-4 * scale, equal_nan=True):
            return True
    return False


def loads(path):
    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return None
    except Exception as e:  # its exceptions have no common base
        return str(e).splitlines()[0][:200]


def spelt_out(model):
    """The model under the newest opset whose checker takes it, all defaults written; None when nothing changes."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    ours = [o for o in changed.opset_import if o.domain in ("", "ai.onnx")]
    if len(ours) != 1 or changed.functions:
        return None
    for opset in range(NEWEST, ours[0].version, -1):
        ours[0].version = opset
        changed.ir_version = max(changed.ir_version, helper.find_min_ir_version_for(changed.opset_import))
        candidate = onnx.ModelProto()
        candidate.CopyFrom(changed)
        written = 0
        for node in candidate.graph.node:
            if node.domain not in ("", "ai.onnx") or not defs.has(node.op_type, opset, ""):
                continue
            schema = defs.get_schema(node.op_type, opset, "")
            present = {a.name for a in node.attribute}
            for name, attribute in schema.attributes.items():
                if name not in present and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
                    node.attribute.append(attribute.default_value)
                    written += 1
        try:
            checker.check_model(candidate, full_check=True)
        except Exception:
            continue
        return candidate if written else None
    return None


def problem(path, reader):
    try:
        checker.check_model(onnx.load(path))
    except Exception as e:
        return "checker: " + str(e).splitlines()[0][:200]
    if not reader:
        return None
    refused = loads(path)
    return "onnxruntime: " + refused if refused else None


def check(skive, path, source, folder, name):
    """(files looked at, problems) of one model."""
    found, n, compared = [], 0, 0
    readable = loads(path) is None
    feed = inputs_beside(source) if readable else None
    if feed is not None and any(node.op_type.startswith(RANDOM) for node in onnx.load(path).graph.node):
        feed = None
    want = results(path, feed) if feed is not None else None
    written = os.path.join(folder, name + ".out.onnx")
    packed = os.path.join(folder, name + ".skv")
    for steps in ([["simplify", path, "-o", written]], [["pack", path, "-o", packed], ["unpack", packed, "-o", written]]):
        for step in steps:
            done = subprocess.run([skive, *step, "-q", "-t", "1"], capture_output=True, text=True, errors="replace", check=False)
            if done.returncode:
                break
        if done.returncode:
            # What skive cannot hold or run it refuses: no business of this test. A raised opset may lack a value of an attribute (7).
            if done.returncode not in (5, 6, 8, 10) and not (done.returncode == 7 and name.endswith("-full")):
                found.append("%s %s: exit status %d: %s" % (name, steps[0][0], done.returncode, done.stderr.strip()[-200:]))
            continue
        n += 1
        what = problem(written, readable)
        if not what and step[0] == "simplify" and os.path.getsize(written) > 1.1 * os.path.getsize(path) + 2048:  # small models: names that were none before
            what = "%d bytes became %d" % (os.path.getsize(path), os.path.getsize(written))
        if not what and want is not None:
            got = results(written, feed)
            what = "onnxruntime does not run it" if got is None else "other numbers" if differ(want, got) else None
            compared += 1
        if what:
            found.append("%s %s: %s" % (name, step[0], what))
        os.remove(written)
    return n, compared, found


def main():
    skive = os.path.abspath(sys.argv[1])
    root = sys.argv[2] if len(sys.argv) > 2 else SUITE
    models = sorted(os.path.join(where, f) for where, _, files in os.walk(root) for f in files if f.endswith(".onnx"))
    if not models:
        print("check_writer: no models below %s" % root)
        return 77
    jobs, found, n, compared = [], [], 0, 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, path in enumerate(models):
            name = "%04d-%s" % (i, os.path.basename(os.path.dirname(path)) or os.path.basename(path))
            jobs.append(pool.submit(check, skive, path, path, folder, name))
            try:
                model = onnx.load(path)
                variant = spelt_out(model)
            except Exception:
                continue  # data outside the model, or damaged on purpose
            if variant is not None:
                full = os.path.join(folder, name + ".full.onnx")
                onnx.save(variant, full)
                jobs.append(pool.submit(check, skive, full, path, folder, name + "-full"))
        for job in jobs:
            count, numbers, problems = job.result()
            n += count
            compared += numbers
            found += problems
    for line in found:
        print(line)
    print("%d files written from %d models, numbers of %d compared, %d wrong" % (n, len(jobs), compared, len(found)))
    return 1 if found or n < len(jobs) or compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
