#!/usr/bin/env python3
"""Times folders of ONNX models and a grid of single operators in skive and onnxruntime, and writes one table.

    sweep.py [FILE_OR_FOLDER ...] [--grid] [--threads 1] [--batch 1,8] [--only WORD] [--rounds 7] [--turn 0.1]
             [--build DIR] [--write FILE.md] [--json FILE]

Each model is opened by both; they take turns (bench/interleave.py), and the figure is the median of the ratios
onnxruntime / skive of the rounds: above 1, skive is faster. A turn lasts about --turn seconds. NAME.int8.onnx and
NAME.ort-int8.onnx count as two files of the INT8 model NAME: the better time of each side is compared. The profiles of
both sides are then aligned by the names of the nodes; nodes that only one of them has (fused, inserted) are added up
under their operator. Run by a Python that has onnx and onnxruntime (bench/sweep/sweep.sh finds or makes one).
"""

import argparse
import collections
import datetime
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "peers"))

import interleave  # noqa: E402

PEER = os.path.join(HERE, "..", "peers", "infer_ort.py")
OPTIONS = None


def arguments(path, batch):
    return "'%s' --threads %d --batch %d" % (path, OPTIONS.threads, batch)


def compare(path, batch):
    """{'ratio', 'skive', 'ort'}: seconds of one run, or {'error': why}."""
    sides, rounds = [], {"skive": [], "ort": []}
    commands = [("skive", "%s %s" % (os.path.join(OPTIONS.build, "bench_infer"), arguments(path, batch))),
                ("ort", "%s %s %s" % (sys.executable, PEER, arguments(path, batch)))]
    try:
        counts = {}
        for label, command in commands:
            side = interleave.Server(label, command, 120)
            sides.append(side)
            first = side.run(1)["seconds"][0]
            if first < OPTIONS.turn:
                first = min(side.run(max(1, min(20, int(OPTIONS.turn / first / 2))))["seconds"])
            counts[label] = max(1, min(5000, int(OPTIONS.turn / first)))
        for number in range(OPTIONS.rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                rounds[side.label].append(statistics.median(side.run(counts[side.label])["seconds"]))
    except interleave.Failed as error:
        return {"error": str(error).split(" (command")[0]}
    finally:
        for side in sides:
            side.close()
    ratios = [o / s for o, s in zip(rounds["ort"], rounds["skive"])]
    return {"ratio": statistics.median(ratios), "skive": statistics.median(rounds["skive"]),
            "ort": statistics.median(rounds["ort"])}


# ---- profiles ----

LINE = re.compile(r"\s*([0-9.]+) us  (\S+)\s+(\S*)\s+(\S*)\s+[0-9.inf-]+ GMAC/s  (\S+\[.*?\]|\S*) ?(.*)$")


def skive_profile(path, batch):
    """{node: (seconds, op, kernel, type)}: of three profiles, the middle one."""
    command = [os.path.join(OPTIONS.build, "bench_infer"), path, "--threads", str(OPTIONS.threads),
               "--batch", str(batch), "--profile", "4"]
    times, about = collections.defaultdict(list), {}
    for _ in range(3):
        answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
        for line in answer.stdout.splitlines():
            found = LINE.match(line)
            if not found:
                continue
            name = found[6] + (" (reorder)" if found[2] == "reorder" else "")
            times[name].append(float(found[1]) * 1e-6)
            about[name] = (found[2], found[3], found[5])
    return {name: (statistics.median(t),) + about[name] for name, t in times.items()}


def ort_profile(path, batch):
    """{node: (seconds, op, shapes of the inputs)}"""
    import onnxruntime as ort
    import ortmodel
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = OPTIONS.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "p")
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feed = ortmodel.random_inputs(session, batch)
        for _ in range(13):
            session.run(None, feed)
        with open(session.end_profiling()) as file:
            events = json.load(file)
    times, about = collections.defaultdict(list), {}
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        name = event["name"][:-len("_kernel_time")]
        times[name].append(event["dur"] * 1e-6)
        shapes = [next(iter(v.values())) for v in event["args"].get("input_type_shape", [])]
        about[name] = (event["args"].get("op_name", "?"), shapes)
    return {plain(n): (statistics.median(t[3:] or t),) + about[n] for n, t in times.items()}


def plain(name):
    """A node's name without what onnxruntime appends to it."""
    name = re.sub(r"^fused ", "", name)
    return re.sub(r"(_nchwc|/NhwcTransformer|_nhwc|_quant|/fused_\w+|/\w+Fusion/?)$", "", name)


def attributes(path):
    """({node: (op, class)}, {value: the node that makes it}); a class says in words what decides the kernel."""
    import onnx
    model = onnx.load(path)
    try:
        model = onnx.shape_inference.infer_shapes(model)
    except Exception:  # a class with fewer words will do
        pass
    shapes = {v.name: [d.dim_value or 0 for d in v.type.tensor_type.shape.dim]
              for v in list(model.graph.value_info) + list(model.graph.input) + list(model.graph.output)}
    shapes.update({t.name: list(t.dims) for t in model.graph.initializer})
    return ({n.name: (n.op_type, shape_class(n, shapes)) for n in model.graph.node},
            {value: n for n in model.graph.node for value in n.output})


def origin(name, ours, makers):
    """The node that onnxruntime names by its last result: of those fused into it, the one that skive names."""
    node = makers.get(name)
    for _ in range(5):
        if node is None or node.name in ours:
            return node.name if node is not None else name
        node = makers.get(node.input[0]) if node.input else None
    return name


def around(n):
    """A number of channels as the power of two from which it is."""
    return "?" if not n else str(1 << (n.bit_length() - 1))


def shape_class(node, shapes):
    get = {a.name: a for a in node.attribute}
    x = shapes.get(node.input[0] if node.input else "", [])
    rank = "%d-D" % len(x) if x else ""
    weight = {"QLinearConv": 3}.get(node.op_type, 1)
    if node.op_type in ("Conv", "QLinearConv", "ConvInteger", "ConvTranspose") and len(node.input) > weight:
        w = shapes.get(node.input[weight], [])
        groups = get["group"].i if "group" in get else 1
        stride = list(get["strides"].ints) if "strides" in get else [1]
        kind = "dense" if groups == 1 else "depthwise" if x and groups == x[1] else "grouped"
        return "%d spatial, %s, %s/%s, %s channels" % (max(0, len(x) - 2), kind, "x".join(map(str, w[2:])),
                                                       "x".join(map(str, stride)), around(x[1] if x else 0))
    if "Pool" in node.op_type:
        window = list(get["kernel_shape"].ints) if "kernel_shape" in get else []
        return "%d spatial, %s" % (max(0, len(x) - 2), "x".join(map(str, window)) or "all")
    return rank


def align(path, batch):
    """[(name, op, class, kernel, skive seconds, onnxruntime seconds)]"""
    ours, (kinds, makers) = skive_profile(path, batch), attributes(path)
    theirs = {origin(n, ours, makers): v for n, v in ort_profile(path, batch).items()}
    rows, rest = [], collections.defaultdict(lambda: [0.0, 0.0, ""])
    for name, (seconds, op, kernel, _) in ours.items():
        if name in theirs and name in kinds:
            rows.append((name, *kinds[name], kernel, seconds, theirs[name][0]))
            continue
        rest[op][0] += seconds
        rest[op][2] = kernel
    for name, (seconds, op, _) in theirs.items():
        if name not in ours or name not in kinds:
            rest[op][1] += seconds
    rows += [("*", op, "not aligned", kernel, mine, other) for op, (mine, other, kernel) in rest.items()]
    return rows


# ---- the table ----

def models_of(paths):
    """{name: [files]}; INT8 versions of one model together."""
    files = []
    for path in paths:
        found = sorted(glob.glob(os.path.join(path, "**", "*.onnx"), recursive=True))
        files += found if os.path.isdir(path) else [path]
    models = collections.OrderedDict()
    for path in files:
        name = os.path.basename(path)[:-len(".onnx")].replace(".ort-int8", ".int8")
        if not OPTIONS.only or re.search(OPTIONS.only, name):
            models.setdefault(name, []).append(path)
    return models


def run_models(paths):
    results, losses = [], []
    for name, files in models_of(paths).items():
        for batch in OPTIONS.batch:
            answers = [dict(compare(f, batch), file=f) for f in files]
            good = [a for a in answers if "error" not in a]
            if not good:
                results.append({"model": name, "batch": batch, "error": answers[0]["error"]})
                print("%-40s batch %d  %s" % (name, batch, answers[0]["error"]), flush=True)
                continue
            mine, other = min(a["skive"] for a in good), min(a["ort"] for a in good)
            ratio = good[0]["ratio"] if len(good) == 1 else other / mine
            results.append({"model": name, "batch": batch, "skive": mine, "ort": other, "ratio": ratio})
            print("%-40s batch %d  skive %9.3f ms  onnxruntime %9.3f ms  ratio %.2f" %
                  (name, batch, mine * 1e3, other * 1e3, ratio), flush=True)
            try:
                best = min(good, key=lambda a: a["skive"])["file"]
                for row in align(best, batch):
                    losses.append((name, batch) + row)
            except Exception as error:  # a profile is a help, not the result
                print("%s: no profile: %s" % (name, error), file=sys.stderr)
    return results, losses


def run_grid():
    import grid
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for op, words, model in grid.models():
            if OPTIONS.only and not re.search(OPTIONS.only, op + " " + words):
                continue
            path = os.path.join(folder, "op.onnx")
            with open(path, "wb") as file:
                file.write(model.SerializeToString())
            answer = dict(compare(path, 1), op=op, shape=words)
            answer["kernel"] = next((k for _, o, k, _ in skive_profile(path, 1).values() if k and o != "reorder"), "")
            results.append(answer)
            text = answer.get("error") or "skive %9.1f us  onnxruntime %9.1f us  ratio %.2f  %s" % (
                answer["skive"] * 1e6, answer["ort"] * 1e6, answer["ratio"], answer["kernel"])
            print("%-20s %-48s %s" % (op, words, text), flush=True)
    return results


def mean(ratios):
    return statistics.geometric_mean(ratios) if ratios else float("nan")


def page(models, losses, grid_rows):
    import onnxruntime
    good = [m for m in models if "ratio" in m]
    out = ["# Sweep against onnxruntime", "",
           "Made by `bench/sweep/sweep.sh` on %s, on %s; onnxruntime %s, %d thread(s)." %
           (datetime.date.today().isoformat(), interleave.cpu_name(), onnxruntime.__version__, OPTIONS.threads),
           "Ratios are onnxruntime / skive: above 1, skive is faster. Each is the median of %d interleaved rounds of "
           "about %g s a side." % (OPTIONS.rounds, OPTIONS.turn),
           "Differences below 10 %% are noise; other work ran at the same time (load average %.0f)." %
           os.getloadavg()[1], ""]
    if models:
        out += ["## Models", "", "Weights of networks without a source are random."]
        for word, kind in (("float", False), ("INT8", True)):
            part = [m["ratio"] for m in good if ("int8" in m["model"]) == kind]
            if part:
                out.append("Geometric mean, %s: %.2f over %d rows; least %.2f." %
                           (word, mean(part), len(part), min(part)))
        out += ["", "| model | batch | skive ms | onnxruntime ms | ratio |", "|---|---:|---:|---:|---:|"]
        for m in models:
            out.append("| %s | %d | %s |" % (m["model"], m["batch"], "%.3f | %.3f | %.2f" % (
                m["skive"] * 1e3, m["ort"] * 1e3, m["ratio"]) if "ratio" in m else "not measured: %s | | " %
                m["error"].replace("|", "/")[:100]))
        table = collections.defaultdict(lambda: [0.0, 0.0, 0, collections.Counter(), collections.Counter()])
        for name, _, _, op, kind, kernel, mine, other in losses:
            cell = table[(op, kind)]
            cell[0] += mine
            cell[1] += other
            cell[2] += 1
            cell[3][kernel] += 1
            cell[4][name] += mine - other
        slow = sorted(table.items(), key=lambda r: r[1][1] - r[1][0])[:OPTIONS.top]
        out += ["", "## Where skive loses most time", "",
                "Sums over all models; nodes are aligned by name. Rows \"not aligned\" hold nodes that only one side "
                "has (fused or inserted).", "",
                "| op | class | nodes | skive ms | onnxruntime ms | ratio | kernel | most in |",
                "|---|---|---:|---:|---:|---:|---|---|"]
        for (op, kind), (mine, other, n, kernels, names) in slow:
            if mine > other:
                out.append("| %s | %s | %d | %.3f | %.3f | %.2f | %s | %s |" % (
                    op, kind, n, mine * 1e3, other * 1e3, other / mine, kernels.most_common(1)[0][0],
                    names.most_common(1)[0][0]))
    if grid_rows:
        measured = [g for g in grid_rows if "ratio" in g]
        out += ["", "## Single operators", "",
                "One node a model, slowest against the peer first. Geometric mean %.2f over %d; %d below 0.7." %
                (mean([g["ratio"] for g in measured]), len(measured), sum(g["ratio"] < 0.7 for g in measured)), "",
                "| op | shape | kernel | skive us | onnxruntime us | ratio |", "|---|---|---|---:|---:|---:|"]
        for g in sorted(grid_rows, key=lambda g: g.get("ratio", 99)):
            out.append("| %s | %s | %s | %s |" % (g["op"], g["shape"], g["kernel"], "%.1f | %.1f | %.2f" % (
                g["skive"] * 1e6, g["ort"] * 1e6, g["ratio"]) if "ratio" in g else "not measured: %s | | " %
                g["error"].replace("|", "/")[:100]))
    return "\n".join(out) + "\n"


def write(models, losses, rows):
    if OPTIONS.json:
        with open(OPTIONS.json, "w") as file:
            json.dump({"models": models, "losses": losses, "grid": rows}, file, indent=1)
    if OPTIONS.write:
        with open(OPTIONS.write, "w") as file:
            file.write(page(models, losses, rows))


def main():
    global OPTIONS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--grid", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=lambda t: [int(b) for b in t.split(",")], default=[1, 8])
    parser.add_argument("--only", help="names that match this regular expression")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn", type=float, default=0.1)
    parser.add_argument("--top", type=int, default=40)
    parser.add_argument("--build", default="build")
    parser.add_argument("--write")
    parser.add_argument("--json")
    OPTIONS = parser.parse_args()
    models, losses = run_models(OPTIONS.paths)
    write(models, losses, [])  # a run that is ended during the grid leaves something
    rows = run_grid() if OPTIONS.grid else []
    write(models, losses, rows)
    if not OPTIONS.write:
        print(page(models, losses, rows))
    return 0 if any("ratio" in m for m in models + rows) else 1


if __name__ == "__main__":
    sys.exit(main())
