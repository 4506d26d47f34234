"""Runs one ONNX model in onnxruntime and in skive on the same inputs and compares every output.

    check_model.py MODEL.onnx [--seed N] [--shape NAME=1,3,224,224] [--rtol R] [--atol A]
    check_model.py MODEL.onnx --data X.npy [--labels Y.npy] [--mean M --std S] [--allow-differing N]

Without --data: random inputs; prints, per output, the largest absolute and relative difference and how many of the largest
indices (classes, along the last axis) agree. An output fails when an element differs by more than
atol * max(1, largest |reference|) + rtol * |reference|, when shapes differ, when NaN stand in different places, or when an
integer output differs at all (beyond --steps).
With --data: runs the whole set in batches and counts the samples whose class differs between the two; with --labels also
the accuracy of each. X is .npy, or an IDX file (.gz allowed); bytes are divided by 255, then (x - mean) / std.

skive is called as a user would: SKIVE run MODEL --input NAME=x.npy -o NAME=y.npy. SKIVE: --skive, $SKIVE, or build/skive.
Exit status: 0 within tolerance, 1 outside, 2 one of the two failed to run or the arguments are wrong.
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort

LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
DTYPES = {"float": np.float32, "double": np.float64, "float16": np.float16}


class Trouble(Exception):
    """Something that is not a difference: a model that does not run, a file that cannot be read."""


def dtype_of(value):
    name = value.type[len("tensor("):-1] if value.type.startswith("tensor(") else value.type
    if name in DTYPES:
        return np.dtype(DTYPES[name])
    try:
        return np.dtype(name)
    except TypeError as error:
        raise Trouble("input '%s' has type %s, which this check cannot generate" % (value.name, value.type)) from error


def parse_shapes(texts):
    shapes = {}
    for text in texts:
        name, equals, dims = text.rpartition("=")
        try:
            shapes[name] = [int(d) for d in dims.split(",")] if dims else []
        except ValueError:
            equals = ""
        if not equals or not name:
            raise Trouble("--shape %s: expected NAME=1,3,224,224" % text)
    return shapes


def random_input(rng, value, shapes, int_max):
    shape = shapes.get(value.name) or [d if isinstance(d, int) and d > 0 else 1 for d in value.shape]
    dtype = dtype_of(value)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(0, int_max, shape).astype(dtype)


def run_skive(skive, model, feed, outputs, folder):
    """One call of the command with every input and output named; the files are numbered (a name may hold a slash)."""
    command = [skive, "run", model]
    for i, (name, array) in enumerate(feed.items()):
        path = os.path.join(folder, "in%d.npy" % i)
        np.save(path, np.asarray(array, order="C"))
        command += ["--input", "%s=%s" % (name, path)]
    paths = [os.path.join(folder, "out%d.npy" % i) for i in range(len(outputs))]
    for name, path in zip(outputs, paths):
        if os.path.exists(path):
            os.remove(path)
        command += ["-o", "%s=%s" % (name, path)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        raise Trouble("cannot start %s: %s (build it, or name it with --skive)" % (skive, error.strerror)) from error
    if done.returncode != 0:
        text = done.stdout.decode("utf-8", "replace").strip().splitlines()
        raise Trouble("skive run ended with status %d: %s" % (done.returncode, text[-1] if text else "no message"))
    try:
        return [np.load(path, allow_pickle=False) for path in paths]
    except (OSError, ValueError) as error:
        raise Trouble("skive run ended well but its output cannot be read: %s" % error) from error


def classes_of(array):
    """Index of the largest value along the last axis; None where that has no meaning."""
    if array.ndim == 0 or array.shape[-1] < 2 or array.dtype.kind not in "fiu":
        return None
    return np.argmax(array, axis=-1).reshape(-1)


def compare(name, want, got, args):
    """Prints one line about an output, returns whether it is within tolerance."""
    if want.shape != got.shape:
        print("%s: FAIL: shape %s, expected %s" % (name, list(got.shape), list(want.shape)))
        return False
    if want.dtype != got.dtype:
        print("%s: FAIL: type %s, expected %s" % (name, got.dtype, want.dtype))
        return False
    if want.size == 0:
        print("%s: ok: empty %s" % (name, list(want.shape)))
        return True
    if want.dtype.kind in "biu":
        step = np.abs(want.astype(np.float64) - got.astype(np.float64))
        differing = int(np.count_nonzero(step))
        good = float(step.max()) <= args.steps
        extra = "%d of %d elements differ, largest difference %d" % (differing, want.size, int(step.max()))
    else:
        a, b = want.astype(np.float64), got.astype(np.float64)
        finite = np.isfinite(a) & np.isfinite(b)
        special = np.array_equal(np.isnan(a), np.isnan(b)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)
        difference = np.abs(a - b)[finite]
        reference = np.abs(a)[finite]
        scale = float(reference.max()) if reference.size else 0.0
        bound = args.atol * max(1.0, scale) + args.rtol * reference
        good = special and bool(np.all(difference <= bound))
        relative = float((difference / np.maximum(reference, 1e-30))[difference > 0].max()) if np.any(difference) else 0.0
        extra = "max abs %.3g, max rel %.3g, largest |value| %.3g" % (
            float(difference.max()) if difference.size else 0.0, relative, scale)
        if not special:
            extra += ", NaN or infinity in different places"
    ours, theirs = classes_of(got), classes_of(want)
    if ours is not None:
        agree = int(np.count_nonzero(ours == theirs))
        extra += ", largest index agrees in %d of %d" % (agree, ours.size)
    print("%s: %s: %s" % (name, "ok" if good else "FAIL", extra))
    return good


def read_array(path):
    """A .npy file or an IDX file of bytes (MNIST's format), either compressed by gzip or not."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rb") as file:
            head = file.read(6)
            if head == b"\x93NUMPY":
                file.seek(0)
                return np.load(file, allow_pickle=False)
            if len(head) < 6 or head[0] or head[1] or head[2] != 8 or not 1 <= head[3] <= 8:
                raise Trouble("%s: neither .npy nor an IDX file of bytes" % path)
            file.seek(4)
            dims = np.frombuffer(file.read(4 * head[3]), ">i4")
            data = np.frombuffer(file.read(), np.uint8)
        if data.size != int(np.prod(dims.astype(np.int64))):
            raise Trouble("%s: holds %d bytes, its header says %s" % (path, data.size, dims.tolist()))
        return data.reshape(dims)
    except (OSError, ValueError, EOFError) as error:
        raise Trouble("%s: %s" % (path, error)) from error


def shaped_for(value, x):
    """Reshapes the samples to what the input wants, e.g. [n][28][28] to [n][1][28][28]."""
    tail = value.shape[1:]
    if all(isinstance(d, int) for d in tail) and list(x.shape[1:]) != list(tail):
        if int(np.prod(tail)) != int(np.prod(x.shape[1:])):
            raise Trouble("a sample has shape %s, input '%s' wants %s" % (list(x.shape[1:]), value.name, tail))
        x = x.reshape([x.shape[0]] + list(tail))
    return x


def check_data(args, session, skive):
    values = session.get_inputs()
    if len(values) != 1:
        raise Trouble("--data needs a model with one input, this one has %d" % len(values))
    value, output = values[0], session.get_outputs()[0].name
    x = read_array(args.data)
    if args.limit:
        x = x[:args.limit]
    x = shaped_for(value, x)
    labels = read_array(args.labels).reshape(-1)[:x.shape[0]] if args.labels else None
    if labels is not None and labels.size != x.shape[0]:
        raise Trouble("%s: %d labels for %d samples" % (args.labels, labels.size, x.shape[0]))
    fixed = value.shape[0] if value.shape and isinstance(value.shape[0], int) else 0
    batch = fixed or args.batch
    bytes_in = x.dtype == np.uint8 and dtype_of(value).kind == "f"
    differing, ours_right, theirs_right, shown, largest = 0, 0, 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for begin in range(0, x.shape[0], batch):
            part = x[begin:begin + batch]
            if bytes_in:
                part = (part.astype(np.float32) / np.float32(255) - np.float32(args.mean)) / np.float32(args.std)
            part = part.astype(dtype_of(value))
            count = part.shape[0]
            if fixed and count < fixed:  # the last, short batch of a model with a fixed one
                part = np.concatenate([part, np.zeros([fixed - count] + list(part.shape[1:]), part.dtype)])
            feed = {value.name: part}
            want = session.run([output], feed)[0][:count]
            got = run_skive(skive, args.model, feed, [output], folder)[0][:count]
            if want.shape != got.shape:
                raise Trouble("output '%s' has shape %s, expected %s" % (output, list(got.shape), list(want.shape)))
            a, b = want.reshape(count, -1), got.reshape(count, -1)
            theirs, ours = a.argmax(axis=1), b.argmax(axis=1)
            gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
            largest = max(largest, float(gap.max()) if gap.size else 0.0)
            for i in np.flatnonzero(theirs != ours):
                differing += 1
                if shown < args.show:
                    shown += 1
                    top = np.sort(a[i])[::-1][:2]
                    print("sample %d: onnxruntime %d, skive %d; onnxruntime's two largest: %.6g %.6g; largest output "
                          "difference %.3g" % (begin + i, theirs[i], ours[i], top[0], top[1], gap[i].max()))
            if labels is not None:
                right = labels[begin:begin + count]
                ours_right += int(np.count_nonzero(ours == right))
                theirs_right += int(np.count_nonzero(theirs == right))
    print("classes differ in %d of %d samples, largest output difference %.3g" % (differing, x.shape[0], largest))
    if labels is not None:
        print("accuracy: skive %.4f, onnxruntime %.4f" % (ours_right / x.shape[0], theirs_right / x.shape[0]))
    return differing <= args.allow_differing


def check_random(args, session, skive):
    shapes = parse_shapes(args.shape)
    known = [v.name for v in session.get_inputs()]
    for name in shapes:
        if name not in known:
            raise Trouble("--shape %s: no such input; the model has: %s" % (name, ", ".join(known)))
    rng = np.random.default_rng(args.seed)
    feed = {v.name: random_input(rng, v, shapes, args.int_max) for v in session.get_inputs()}
    names = [v.name for v in session.get_outputs()]
    want = session.run(names, feed)
    with tempfile.TemporaryDirectory() as folder:
        got = run_skive(skive, args.model, feed, names, folder)
    return all([compare(n, a, b, args) for n, a, b in zip(names, want, got)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--skive", default=os.environ.get("SKIVE", "build/skive"), help="the command (default: build/skive)")
    parser.add_argument("--ort-level", choices=sorted(LEVELS), default="all",
                        help="onnxruntime's graph optimizations; 'disable' runs Q/DQ models in float")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", action="append", default=[], help="NAME=1,3,224,224; symbolic dimensions are 1 otherwise")
    parser.add_argument("--int-max", type=int, default=2, help="integer inputs are drawn below this")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--atol", type=float, default=1e-5, help="relative to the output's largest value")
    parser.add_argument("--steps", type=int, default=0, help="allowed difference of integer outputs")
    parser.add_argument("--data", help="samples (.npy or IDX) to count differing classes on")
    parser.add_argument("--labels", help="their labels (.npy or IDX)")
    parser.add_argument("--mean", type=float, default=0.0)
    parser.add_argument("--std", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=1000, help="samples per run where the model leaves it open")
    parser.add_argument("--limit", type=int, default=0, help="only the first N samples")
    parser.add_argument("--allow-differing", type=int, default=0, help="samples whose class may differ")
    parser.add_argument("--show", type=int, default=5, help="differing samples to print")
    args = parser.parse_args()
    try:
        options = ort.SessionOptions()
        options.graph_optimization_level = LEVELS[args.ort_level]
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes have no common public base
            raise Trouble("onnxruntime does not load %s: %s" % (args.model, error)) from error
        good = (check_data if args.data else check_random)(args, session, args.skive)
    except Trouble as error:
        print("check_model.py: %s" % error, file=sys.stderr)
        return 2
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
