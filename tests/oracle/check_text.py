"""Compares skive with onnxruntime on operators over strings, with random text, attributes and regular expressions, and on models of ai.onnx.ml
with names of classes; each model also as .skv and back as ONNX, which the checker and onnxruntime load. Strings and integers must be equal.
What onnxruntime cannot run is counted apart; of what it refuses skive must refuse the expressions that are none.

    tests/oracle/check_text.py [build/skive] [--seed N] [--rounds N]
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--rounds", type=int, default=12)
args = parser.parse_args()
rng = np.random.default_rng(args.seed)
failed, checked, not_run = 0, 0, 0
WORDS = ["", "the", "The", "fox", "FOX", "Äpfel", "straße", "δέλτα", "Жук", "日本", "a-b-c", "--", "a  b\tc ", "x_1", "12", "-7", "ab", "aab", "b", "\n", "über den Fluß", "a.b@c.org"]


def words(*shape):
    return np.array([WORDS[i] for i in rng.integers(0, len(WORDS), int(np.prod(shape)))], object).reshape(shape)


def call(*command):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def same(want, got):
    if want.shape != got.shape:
        return False
    if want.dtype.kind in "OUS":
        return got.dtype.kind == "U" and all(str(a) == str(b) for a, b in zip(want.ravel(), got.ravel()))
    return np.allclose(want, got, rtol=1e-5, atol=1e-6, equal_nan=True) if want.dtype.kind == "f" else np.array_equal(want, got)


def run(folder, model, feed, outputs):
    command = [args.skive, "run", model, "--quiet"]
    for name, x in feed.items():
        np.save(folder / (name + ".npy"), x.astype(str) if x.dtype == object else x)
        command += ["--input", "%s=%s" % (name, folder / (name + ".npy"))]
    for o in outputs:
        command += ["-o", "%s=%s" % (o, folder / (o + ".npy"))]
    done = call(*command)
    return done.stdout, None if done.returncode else [np.load(folder / (o + ".npy")) for o in outputs]


def check(op, inputs, n_out=1, opset=20, domain="", written=True, refused=False, specification=False, **attributes):
    """inputs: arrays. written: the file that skive writes is loaded too. refused: skive must refuse what onnxruntime does. specification: against
    the standard's reference."""
    global failed, checked, not_run
    feed = {"i%d" % i: x for i, x in enumerate(inputs)}
    kinds = {n: TensorProto.STRING if x.dtype == object else helper.np_dtype_to_tensor_dtype(x.dtype) for n, x in feed.items()}
    declared = [helper.make_tensor_value_info(n, kinds[n], x.shape) for n, x in feed.items()]
    outputs = ["o%d" % i for i in range(n_out)]
    node = helper.make_node(op, list(feed), outputs, domain=domain, **attributes)
    graph = helper.make_graph([node], "g", declared, [helper.make_empty_tensor_value_info(o) for o in outputs])
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 4 if domain == "ai.onnx.ml" else 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    what = "%s %s %s" % (op, attributes, [x.ravel()[:8].tolist() for x in inputs])
    try:
        run_by = ReferenceEvaluator(model) if specification else session(model.SerializeToString())
        want = [np.asarray(y) for y in run_by.run(outputs, feed)]
    except Exception:
        want = None
        not_run += 1
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        onnx.save(model, folder / "m.onnx")
        text, got = run(folder, folder / "m.onnx", feed, outputs)
        checked += 1
        if want is None:
            if refused and got is not None:
                print("FAIL %s: onnxruntime refuses it, skive does not" % what)
                failed += 1
            return
        if got is None or not all(same(w, g) for w, g in zip(want, got)):
            print("FAIL %s: %s" % (what, text.strip() if got is None else ([w.tolist() for w in want], [g.tolist() for g in got])))
            failed += 1
            return
        if not written:
            return
        for done in (call(args.skive, "pack", folder / "m.onnx", "-o", folder / "m.skv"), call(args.skive, "unpack", folder / "m.skv", "-o", folder / "again.onnx")):
            if done.returncode:
                print("FAIL %s: %s" % (what, done.stdout.strip()))
                failed += 1
                return
        if domain != "com.microsoft":
            onnx.checker.check_model(onnx.load(folder / "again.onnx"), full_check=True)
        again = session(str(folder / "again.onnx"))
        if specification:
            return
        want = again.run(None, {i.name: x for i, x in zip(again.get_inputs(), feed.values())})
        if not all(same(w, g) for w, g in zip(want, got)):
            print("FAIL %s: the file that skive writes gives %s" % (what, [w.tolist() for w in want]))
            failed += 1


ATOMS = ["a", "b", ".", "[a-c]", "[^b]", "\\w", "\\d", "\\s", "\\W", "(ab|b)", "(?:a|)", "ä", "日", "(?i:FOX)", "[[:alpha:]]", "\\x61", "-", "^", "$", "\\b", "(?i)", "[äöü]", "\\.", "the", "_"]
REPEATS = ["", "", "", "*", "+", "?", "{1,2}", "{2}", "*?", "{0,}", "{,2}"]


def pattern():
    """RE2 lets what stands before a setting of flags be repeated after it, a(?i)*; skive refuses that, as other engines do."""
    parts = [str(rng.choice(ATOMS)) for _ in range(int(rng.integers(1, 6)))]
    return "".join(part if part == "(?i)" else part + str(rng.choice(REPEATS)) for part in parts)


def expressions():
    for _ in range(6):
        check("RegexFullMatch", [words(24)], written=False, refused=True, pattern=pattern())
    for bad in ("a**", "(a", "a)", "[b-a]", "(a)\\1", "(?=a)", "\\Z", "a{2,1}", "[a"):
        check("RegexFullMatch", [words(2)], refused=True, pattern=bad)
    check("RegexFullMatch", [words(3, 2)], pattern="[\\w.]+@(\\w+\\.)+[a-z]{2,}")


def texts():
    check("StringConcat", [words(3, 1), words(1, 4)])
    # onnxruntime takes a space for the only white space, strips the rest behind the last cut, and finds no part in empty text
    check("StringSplit", [words(2, 3)], 2, specification=True)
    check("StringSplit", [words(5)], 2, specification=True, delimiter=str(rng.choice(["-", "a", "--", " "])), **({"maxsplit": int(rng.integers(0, 3))} if rng.integers(2) else {}))
    check("StringSplit", [words(5)], 2, maxsplit=int(rng.integers(1, 3)), specification=True)
    stop = {"locale": "C.UTF-8"} | ({"stopwords": [str(w) for w in rng.choice(WORDS[1:8], 2)]} if rng.integers(2) else {})
    check("StringNormalizer", [words(6)], case_change_action=str(rng.choice(["LOWER", "UPPER", "NONE"])), is_case_sensitive=int(rng.integers(2)), **stop)
    check("StringNormalizer", [words(1, 4)], case_change_action=str(rng.choice(["LOWER", "UPPER"])), **stop)
    pool = list(dict.fromkeys(WORDS[1:9]))
    pairs = [str(w) for w in rng.choice(WORDS[1:9], 8)]
    check("TfIdfVectorizer", [words(3, 7)], min_gram_length=1, max_gram_length=2, max_skip_count=int(rng.integers(0, 3)), mode=str(rng.choice(["TF", "IDF", "TFIDF"])),
          ngram_counts=[0, len(pool)], ngram_indexes=list(range(len(pool) + 4)), pool_strings=pool + pairs, weights=[float(x) for x in rng.uniform(0.5, 2, len(pool) + 4)])
    check("Tokenizer", [words(2, 3)], domain="com.microsoft", mark=int(rng.integers(2)), mincharnum=int(rng.integers(1, 3)), pad_value="#", tokenexp=str(rng.choice(["[a-z]+", "\\w+", "[^ ]", "a|ab+"])))
    check("Tokenizer", [words(4)], domain="com.microsoft", mark=0, mincharnum=int(rng.integers(1, 3)), pad_value="", separators=[" ", str(rng.choice(["-", "b+"]))])
    check("Tokenizer", [words(4)], domain="com.microsoft", mark=1, mincharnum=1, pad_value="", separators=[""])


def numbers():
    check("Equal", [words(4, 1), words(1, 5)])
    check("Cast", [np.array(["12", "-7", " 3.5", "1e-3", "NaN", "INF", "-INF"], object)], to=TensorProto.FLOAT)
    check("Cast", [np.array(["12", "-7", "9007199254740993"], object)], to=TensorProto.INT64)
    check("Cast", [rng.integers(-(2**62), 2**62, 5)], to=TensorProto.STRING)
    check("Cast", [np.array([0.5, -3, 1e6, -123456, 0.1, 1e20, np.nan, np.inf, -np.inf], np.float32)], to=TensorProto.STRING)
    check("LabelEncoder", [words(9)], domain="ai.onnx.ml", keys_strings=list(dict.fromkeys(WORDS[:6])), values_int64s=list(range(6)), default_int64=-5)
    check("LabelEncoder", [rng.integers(0, 5, (2, 3))], domain="ai.onnx.ml", keys_int64s=[0, 2, 3], values_strings=["null", "zwei", ""], default_string="?")
    check("LabelEncoder", [words(9)], domain="ai.onnx.ml", keys_strings=WORDS[:3], values_strings=WORDS[3:6])
    check("LabelEncoder", [words(9)], domain="ai.onnx.ml", keys_strings=WORDS[:3], values_floats=[0.5, 1.5, -2.0], default_float=9.0)


def moves():
    check("Concat", [words(2, 3), words(2, 2)], axis=1)
    check("Gather", [words(4, 3), rng.integers(-4, 4, 5)], specification=True)  # onnxruntime moves only the first string of each row
    check("Gather", [words(9), rng.integers(-9, 9, (2, 3))])
    check("Where", [rng.integers(0, 2, (3, 1)).astype(bool), words(3, 2), words(1, 2)])
    check("Transpose", [words(2, 3, 4)], perm=[2, 0, 1])
    check("Expand", [words(3, 1), np.array([3, 4])])
    check("Tile", [words(2, 2), np.array([2, 1])])
    check("Split", [words(4, 3)], 2, axis=0, num_outputs=2)
    check("Identity", [words(3)])
    check("Unique", [words(12)], 4)
    check("Shape", [words(3, 2)])
    check("ScatterElements", [words(3, 3), rng.integers(0, 3, (2, 3)), words(2, 3)], axis=0, written=False)


for _ in range(args.rounds):
    expressions()
    texts()
    numbers()
    moves()
print("%d forms compared, %d failed; %d of them onnxruntime does not run" % (checked, failed, not_run))
sys.exit(failed != 0)
