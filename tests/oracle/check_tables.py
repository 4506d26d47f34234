"""Compares what skive makes of tables and texts with Python: rows by the csv module (strict), means, categories, vocabularies and byte pairs
learnt anew here by their definitions, and the figures of `skive eval` with onnxruntime on samples made here. Exit 1 when something differs.

    tests/oracle/check_tables.py [build/skive] [--seed N]
"""
import argparse
import collections
import csv
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
rng = random.Random(args.seed)
folder = pathlib.Path(tempfile.mkdtemp())
failed = checked = 0


def same(what, want, got, tolerance=0.0):
    global failed, checked
    checked += 1
    good = want == got if not tolerance else abs(want - got) <= tolerance * max(1, abs(want))
    if not good:
        failed += 1
        print("FAIL %s: %.300r instead of %.300r" % (what, got, want))


def skive(*command):
    run = subprocess.run([args.skive, *map(str, command)], capture_output=True, text=True)
    if run.returncode:
        sys.exit("FAIL skive %s: %s" % (" ".join(map(str, command)), run.stderr))
    return run.stdout


def recipe_of(path, key):
    text = {p.key: p.value for p in onnx.load(path).metadata_props}[key]
    undo = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}
    return [[re.sub(r"\\[tnr\\]", lambda m: undo[m.group()], f) for f in line.split("\t")] for line in text.split("\n")[:-1]]


def metadata(path):
    return {p.key: p.value for p in onnx.load(path).metadata_props}


def figures(path, samples, labels):
    """Accuracy and mean cross-entropy in onnxruntime."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    y = session.run(None, {session.get_inputs()[0].name: samples})[0].astype(np.float64)
    p = y - y.max(1, keepdims=True)
    loss = np.log(np.exp(p).sum(1)) - p[np.arange(len(y)), labels]
    return float((y.argmax(1) == labels).mean()), float(loss.mean())


def compare_figures(what, path, data, samples, labels):
    said = json.loads(skive("eval", path, "-d", data, "--json"))
    accuracy, loss = figures(path, samples, labels)
    same(what + " accuracy", accuracy, said["accuracy"], 1e-8)
    same(what + " loss", loss, said["cross_entropy"], 2e-5)


# ---- tables ----

def quoted(text, separator, always):
    if always or re.search("[\"\r\n" + re.escape(separator) + "]", text) or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


def make_table(path, rows, separator, end, mark):
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write("\ufeff" if mark else "")
        for row in rows:
            f.write(separator.join(quoted(c, separator, rng.random() < 0.2) for c in row) + end)
            if rng.random() < 0.05:
                f.write(end)


colours = ["red", 'light "grey"', "blue, dark", "two\nlines", "a;b", "caf\u00e9", "tab\tbed"]
for case, (kind, separator, end, mark) in enumerate([("csv", ",", "\n", False), ("csv", ";", "\r\n", True), ("tsv", "\t", "\r\n", False), ("csv", "|", "\r", True)]):
    rows = [["size", "colour", "note, not used", "weight", "kind"]]
    for i in range(200):
        colour = rng.choice(colours)
        rows.append(["%.4g" % rng.uniform(-5, 5), colour, "x%d" % i, str(rng.randrange(50)) if rng.random() > 0.1 else rng.choice(["", "NA", "?"]),
                     "odd" if colour in colours[:3] else "even \u20ac"])
    path, model = folder / ("t%d.%s" % (case, kind)), folder / ("t%d.onnx" % case)
    make_table(path, rows, separator, end, mark)
    data = "%s:%s,label=kind,without=note*,gaps=mean" % (kind, path)
    skive("train", "mlp:8", "-d", data, "--no-validation", "-e", 3, "--lr", 0.02, "--threads", 1, "-o", model)
    read = [r for r in csv.reader(open(path, encoding="utf-8-sig", newline=""), delimiter=separator, strict=True) if r]
    same("rows", rows, read)
    body = read[1:]
    weights = [float(r[3]) for r in body if r[3] not in ("", "NA", "?")]
    lines = recipe_of(model, "skive.input.table")
    seen = sorted({r[1] for r in body}, key=lambda t: t.encode())
    same("categories", ["onehot", "colour"] + seen, lines[3])
    same("mean", sum(weights) / len(weights), float(lines[4][2]), 1e-12)
    same("classes", ["label", "kind", "names", "even \u20ac", "odd"], lines[5])
    x = np.array([[float(r[0])] + [float(r[1] == c) for c in seen] + [float(r[3]) if r[3] not in ("", "NA", "?") else float(lines[4][2])] for r in body], np.float32)
    said = metadata(model)
    x = (x - np.fromstring(said["skive.input.mean"], np.float32, sep=",")) / np.fromstring(said["skive.input.std"], np.float32, sep=",")
    compare_figures("table %d" % case, model, "%s:%s,gaps=mean" % (kind, path), x.astype(np.float32), np.array([int(r[4] == "odd") for r in body]))


# ---- texts ----

def words(text):
    letter = "[A-Za-z0-9_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]"
    return re.findall("%s+(?:'%s+)*|\\S" % (letter, letter), text)


def pieces(text):
    letter = "[A-Za-z0-9_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]"
    return re.findall(" ?%s+| ?(?:(?!%s)\\S)+|\\s+(?=\\S)(?<=[^ ])|\\s+(?= \\S)|\\s+" % (letter, letter), text)


def learn_pairs(texts, size):
    """The definition: all pairs are counted anew for each merge."""
    counts = collections.Counter(p for t in texts for p in pieces(t))
    parts = {p: [2 + b for b in p.encode()] for p in counts}
    merges = []
    while 258 + len(merges) < size:
        pairs = collections.Counter()
        for p, tokens in parts.items():
            for pair in zip(tokens, tokens[1:]):
                pairs[pair] += counts[p]
        best = min(pairs, key=lambda q: (-pairs[q], q), default=None)
        if best is None or pairs[best] < 2:
            break
        for p in parts:
            parts[p] = join(parts[p], best, 258 + len(merges))
        merges.append(best)
    return merges


def join(tokens, pair, new):
    out, i = [], 0
    while i < len(tokens):
        both = tuple(tokens[i:i + 2]) == pair
        out.append(new if both else tokens[i])
        i += 2 if both else 1
    return out


def encode_pairs(text, merges):
    out = []
    for p in pieces(text):
        tokens = [2 + b for b in p.encode()]
        for i, pair in enumerate(merges):
            tokens = join(tokens, pair, 258 + i)
        out += tokens
    return out


def embedding(path, tokens, length):
    r = np.random.default_rng(args.seed)
    weights = [numpy_helper.from_array(r.normal(size=s).astype(np.float32), n) for n, s in (("table", (tokens, 6)), ("w", (6, 2)), ("b", (2,)))]
    nodes = [helper.make_node("Gather", ["table", "ids"], ["e"]), helper.make_node("ReduceMean", ["e"], ["m"], axes=[1], keepdims=0),
             helper.make_node("Gemm", ["m", "w", "b"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", length])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


good, bad = ["fine", "g\u00fct", "don't", "very  good", "(ok)"], ["poor", "d\u00fcll", "isn't", "so  bad", "[no]"]
texts = [(" ".join(rng.choice(good if label else bad) if rng.random() < 0.4 else rng.choice(["the", "a", "film", "and", "then,", "was", "well...", "2024"])
                   for _ in range(rng.randrange(1, 14))), label) for label in [i % 2 for i in range(160)]]
with open(folder / "texts.csv", "w", encoding="utf-8", newline="") as f:
    csv.writer(f).writerows([["text", "sort"]] + [[t, "good" if label else "bad"] for t, label in texts])
(folder / "lines").mkdir()
for label, name in enumerate(["bad", "good"]):
    (folder / "lines" / (name + ".txt")).write_text("\n".join(t for t, k in texts if k == label), encoding="utf-8")
length = 12
for tokens in ["byte", "character", "word", "word:size=14", "word:lower", "bpe:size=290"]:
    start, model = folder / "start.onnx", folder / "text.onnx"
    embedding(start, 400, length)
    source = "text:%s,column=text,label=sort,length=%d,tokens=%s" % (folder / "texts.csv", length, tokens)
    skive("train", start, "-d", source, "--no-validation", "-e", 3, "--lr", 0.02, "--threads", 1, "-o", model)
    lines = recipe_of(model, "skive.input.text")
    low = (lambda t: t.lower()) if "lower" in tokens else (lambda t: t)
    if tokens.startswith("bpe"):
        merges = learn_pairs([t for t, _ in texts], 290)
        same("merges", [list(map(str, m)) for m in merges], [line[1:] for line in lines if line[0] == "merge"])
        numbers = lambda t: encode_pairs(t, merges)
    elif tokens == "byte":
        numbers = lambda t: [2 + b for b in t.encode()]
    else:
        cut = words if tokens.startswith("word") else list
        counts = collections.Counter(w for t, _ in texts for w in cut(low(t)))
        vocabulary = sorted(counts, key=lambda w: (-counts[w], w.encode()))[:12 if "size" in tokens else None]
        same("vocabulary of " + tokens, vocabulary, [line[1] for line in lines if line[0] == "token"])
        number = {w: 2 + i for i, w in enumerate(vocabulary)}
        numbers = lambda t: [number.get(w, 1) for w in cut(low(t))]
    x = np.array([(numbers(t) + [0] * length)[:length] for t, _ in texts], np.int64)
    compare_figures(tokens, model, "text:%s" % (folder / "texts.csv"), x, np.array([k for _, k in texts]))
    order = [i for i, (_, k) in enumerate(texts) if not k] + [i for i, (_, k) in enumerate(texts) if k]
    compare_figures(tokens + " lines", model, "text:%s" % (folder / "lines"), x[order], np.array([texts[i][1] for i in order]))

print("%d comparisons, %d differences" % (checked, failed))
sys.exit(1 if failed else 0)
