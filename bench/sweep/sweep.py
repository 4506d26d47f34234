#!/usr/bin/env python3
"""Times folders of ONNX models and a grid of single operators in skive and onnxruntime, and writes one page of tables.

    sweep.py [FILE_OR_FOLDER ...] [--grid] [--threads 1] [--batch 1,8] [--only WORD] [--rounds 7] [--turn 0.1]
             [--build DIR] [--write FILE.md] [--json FILE]

Each model is opened by both; they take turns (bench/interleave.py), and the figure is the median of the ratios
onnxruntime / skive of the rounds: above 1, skive is faster. A turn lasts about --turn seconds. NAME.int8.onnx and
NAME.ort-int8.onnx count as two files of the INT8 model NAME: the better time of each side is compared. The profiles of
both sides are then aligned by the names of the nodes; nodes that only one of them has (fused, inserted) are added up
under their operator. With the first batch, each model is also run by skive on one and on two threads, and brought from
its file to a plan and to a session of onnxruntime, in turns. The peak memory is that of the process that runs the model
(Python and its libraries included in onnxruntime's).

The page has a section for each kind of machine; those of others stay as they are. Run by a Python that has onnx and
onnxruntime (bench/sweep/sweep.sh finds or makes one).
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

PEERS = os.path.join(HERE, "..", "peers")
OPTIONS = None


# Inputs whose sizes a model leaves open beyond the batch.
OPEN = {"ppocr_cls_mobilenetv3": {"x": [1, 3, 48, 192]},
        "silero_vad_v5": {"input": [1, 512], "state": [2, 1, 128], "sr": 16000}}


def given(path, folder):
    """Files with the inputs of a model whose sizes it leaves open, as arguments of both programs."""
    import numpy as np
    words = []
    for name, what in OPEN.get(os.path.basename(path)[:-len(".onnx")], {}).items():
        array = np.array(what, np.int64) if isinstance(what, int) else np.random.default_rng(1).standard_normal(
            what).astype(np.float32)
        file = os.path.join(folder, name + ".npy")
        np.save(file, array)
        words += ["--input", "'%s=%s'" % (name, file)]
    return " ".join(words)


def program(name):
    return os.path.join(OPTIONS.build, name)


def peer(name):
    return "%s %s" % (sys.executable, os.path.join(PEERS, name))


def peak_bytes(process):
    """Of the program alone: what getrusage says begins with the memory of the process that started it."""
    with open("/proc/%d/status" % process) as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def take_turns(commands, rounds, middle=statistics.median):
    """[(label, command)] -> {label: [seconds of a round]}, {label: peak bytes}; a round counts with its middle run."""
    sides, times, peaks = [], {label: [] for label, _ in commands}, {}
    try:
        counts = {}
        for label, command in commands:
            side = interleave.Server(label, command, 120)
            sides.append(side)
            first = side.run(1)["seconds"][0]
            if first < OPTIONS.turn:
                first = min(side.run(max(1, min(20, int(OPTIONS.turn / first / 2))))["seconds"])
            counts[label] = max(1, min(5000, int(OPTIONS.turn / first)))
        for number in range(rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                times[side.label].append(middle(side.run(counts[side.label])["seconds"]))
                peaks[side.label] = peak_bytes(side.process.pid)
    finally:
        for side in sides:
            side.close()
    return times, peaks


def of_rounds(times, ours, theirs):
    """The median ratio theirs / ours, and the median seconds of both."""
    ratios = [b / a for a, b in zip(times[ours], times[theirs])]
    return statistics.median(ratios), statistics.median(times[ours]), statistics.median(times[theirs])


def arguments(path, batch, threads, more=""):
    return "'%s' --threads %d --batch %d %s" % (path, threads, batch, more)


def compare(path, batch):
    """{'ratio', 'skive', 'ort'}: seconds of one run, {'skive_bytes', 'ort_bytes'}, or {'error': why}."""
    with tempfile.TemporaryDirectory() as folder:
        words = arguments(path, batch, OPTIONS.threads, given(path, folder))
        try:
            times, peaks = take_turns([("skive", program("bench_infer") + " " + words),
                                       ("ort", peer("infer_ort.py") + " " + words)], OPTIONS.rounds)
        except interleave.Failed as error:
            return {"error": str(error).split(" (command")[0]}
    ratio, mine, other = of_rounds(times, "skive", "ort")
    return {"ratio": ratio, "skive": mine, "ort": other, "skive_bytes": peaks["skive"], "ort_bytes": peaks["ort"]}


def compare_more(path, batch):
    """{'threads'}: time on one thread / time on two; {'plan_ratio', 'plan', 'plan_ort'}: from the file to the plan.
    What cannot be measured is absent. Threads are compared by the shortest runs: where other work has the second core,
    two wait for it at each layer, and the median would say how much work that was."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        more = given(path, folder)
        infer = program("bench_infer")
        try:
            times, _ = take_turns([(str(t), infer + " " + arguments(path, batch, t, more)) for t in (1, 2)],
                                  OPTIONS.rounds, min)
            found["threads"] = min(times["1"]) / min(times["2"])
        except interleave.Failed as error:
            print("%s: two threads: %s" % (path, error), file=sys.stderr)
    try:
        times, _ = take_turns([("skive", program("bench_session") + " " + arguments(path, batch, OPTIONS.threads)),
                               ("ort", peer("session_ort.py") + " '%s' --threads %d" % (path, OPTIONS.threads))],
                              OPTIONS.rounds)
        found["plan_ratio"], found["plan"], found["plan_ort"] = of_rounds(times, "skive", "ort")
    except interleave.Failed as error:
        print("%s: its plan: %s" % (path, error), file=sys.stderr)
    return found


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


def is_integer(path):
    """Does the model compute with integers?"""
    import onnx
    kinds = {n.op_type for n in onnx.load(path, load_external_data=False).graph.node}
    return bool(kinds & {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger"})


def float_of(name, names):
    """The float model of which `name` is the INT8 version, if it is there too."""
    for old, new in ((".int8", ""), ("_quant", ""), ("_int8", "_float"), ("_int8", "_fp32"), ("", None)):
        other = name + "_float32" if new is None else name.replace(old, new)
        if other != name and other in names:
            return other
    return None


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


def say(row):
    words = "%-40s batch %d  " % (row["model"], row["batch"])
    if "error" in row:
        words += row["error"]
    else:
        words += "skive %9.3f ms  onnxruntime %9.3f ms  ratio %.2f  memory %.0f / %.0f MB" % (
            row["skive"] * 1e3, row["ort"] * 1e3, row["ratio"], row["skive_bytes"] / 1e6, row["ort_bytes"] / 1e6)
    if "threads" in row:
        words += "  two threads %.2f" % row["threads"]
    if "plan" in row:
        words += "  plan %.1f / %.1f ms %.2f" % (row["plan"] * 1e3, row["plan_ort"] * 1e3, row["plan_ratio"])
    print(words, flush=True)


def run_models(paths):
    results, losses = [], []
    for name, files in models_of(paths).items():
        for batch in OPTIONS.batch:
            answers = [dict(compare(f, batch), file=f) for f in files]
            good = [a for a in answers if "error" not in a]
            row = {"model": name, "batch": batch, "integer": is_integer(files[0])}
            results.append(row)
            if not good:
                row["error"] = answers[0]["error"]
                say(row)
                continue
            best = min(good, key=lambda a: a["skive"])
            theirs = min(good, key=lambda a: a["ort"])
            row.update(skive=best["skive"], ort=theirs["ort"], skive_bytes=best["skive_bytes"],
                       ort_bytes=theirs["ort_bytes"])
            row["ratio"] = good[0]["ratio"] if len(good) == 1 else theirs["ort"] / best["skive"]
            if batch == OPTIONS.batch[0]:
                row.update(compare_more(best["file"], batch))
            say(row)
            try:
                for aligned in align(best["file"], batch):
                    losses.append((name, batch) + aligned)
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


def listed(rows, word):
    return ", ".join("%s %s" % (m["model"] + (" (%d)" % m["batch"] if m["batch"] > 1 else ""), word(m))
                     for m in rows) or "none"


def verdicts(models):
    """What the goals ask of the models, and which miss it."""
    good = [m for m in models if "ratio" in m]
    out = []
    for word, kind, least in (("float", False, 0.95), ("INT8", True, 1.0)):
        part = [m for m in good if m["integer"] == kind]
        if part:
            below = sorted((m for m in part if m["ratio"] < least), key=lambda m: m["ratio"])
            out.append("- Geometric mean, %s: %.2f over %d rows; below %.2f: %s." % (
                word, mean([m["ratio"] for m in part]), len(part), least,
                listed(below, lambda m: "%.2f" % m["ratio"])))
    times = {(m["model"], m["batch"]): m["skive"] for m in good}
    names = {m["model"] for m in good}
    slower = []
    for m in good:
        other = float_of(m["model"], names) if m["integer"] else None
        if other and (other, m["batch"]) in times and m["skive"] > times[other, m["batch"]]:
            slower.append(dict(m, by=times[other, m["batch"]] / m["skive"]))
    out.append("- INT8 slower than own float: %s." % listed(slower, lambda m: "%.2f" % m["by"]))
    threads = [m for m in good if "threads" in m]
    if threads:
        out.append("- Two threads against one: geometric mean %.2f; below 0.95: %s." % (
            mean([m["threads"] for m in threads]),
            listed([m for m in threads if m["threads"] < 0.95], lambda m: "%.2f" % m["threads"])))
    plans = [m for m in good if "plan" in m]
    if plans:
        out.append("- Time to plan against onnxruntime's session: geometric mean %.2f; below 1.25: %s." % (
            mean([m["plan_ratio"] for m in plans]),
            listed([m for m in plans if m["plan_ratio"] < 1.25], lambda m: "%.2f" % m["plan_ratio"])))
    out.append("- More peak memory than onnxruntime: %s." % listed(
        [m for m in good if m["skive_bytes"] > m["ort_bytes"]],
        lambda m: "%.0f MB" % (m["skive_bytes"] / 1e6)))
    return out


def model_line(m):
    if "ratio" not in m:
        return "not measured: %s | | | | | | | | |" % m["error"].replace("|", "/")[:100]
    cells = ["%.3f" % (m["skive"] * 1e3), "%.3f" % (m["ort"] * 1e3), "%.2f" % m["ratio"],
             "%.2f" % m["threads"] if "threads" in m else ""]
    cells += ["%.1f" % (m["plan"] * 1e3), "%.1f" % (m["plan_ort"] * 1e3), "%.2f" % m["plan_ratio"]] \
        if "plan" in m else ["", "", ""]
    cells += ["%.0f" % (m["skive_bytes"] / 1e6), "%.0f" % (m["ort_bytes"] / 1e6)]
    return " | ".join(cells) + " |"


def section(models, losses, grid_rows):
    """The lines about this machine."""
    import onnxruntime
    out = ["## " + interleave.cpu_name(), "",
           "On %s; onnxruntime %s, %d thread(s). Each ratio is the median of %d interleaved rounds of about %g s a "
           "side; load average %.0f." % (datetime.date.today().isoformat(), onnxruntime.__version__, OPTIONS.threads,
                                   OPTIONS.rounds, OPTIONS.turn, os.getloadavg()[1]), ""]
    if models:
        out += ["### Models", ""] + verdicts(models)
        out += ["", "| model | batch | skive ms | onnxruntime ms | ratio | two threads | plan ms | session ms | "
                "ratio | skive MB | onnxruntime MB |", "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
        out += ["| %s | %d | %s" % (m["model"], m["batch"], model_line(m)) for m in models]
        table = collections.defaultdict(lambda: [0.0, 0.0, 0, collections.Counter(), collections.Counter()])
        for name, _, _, op, kind, kernel, mine, other in losses:
            cell = table[(op, kind)]
            cell[0] += mine
            cell[1] += other
            cell[2] += 1
            cell[3][kernel] += 1
            cell[4][name] += mine - other
        slow = sorted(table.items(), key=lambda r: r[1][1] - r[1][0])[:OPTIONS.top]
        out += ["", "### Where skive loses most time", "",
                "| op | class | nodes | skive ms | onnxruntime ms | ratio | kernel | most in |",
                "|---|---|---:|---:|---:|---:|---|---|"]
        for (op, kind), (mine, other, n, kernels, names) in slow:
            if mine > other:
                out.append("| %s | %s | %d | %.3f | %.3f | %.2f | %s | %s |" % (
                    op, kind, n, mine * 1e3, other * 1e3, other / mine, kernels.most_common(1)[0][0],
                    names.most_common(1)[0][0]))
    if grid_rows:
        measured = [g for g in grid_rows if "ratio" in g]
        out += ["", "### Single operators", "",
                "One node a model, slowest against the peer first. Geometric mean %.2f over %d; %d below 0.7." %
                (mean([g["ratio"] for g in measured]), len(measured), sum(g["ratio"] < 0.7 for g in measured)), "",
                "| op | shape | kernel | skive us | onnxruntime us | ratio |", "|---|---|---|---:|---:|---:|"]
        for g in sorted(grid_rows, key=lambda g: g.get("ratio", 99)):
            out.append("| %s | %s | %s | %s |" % (g["op"], g["shape"], g["kernel"], "%.1f | %.1f | %.2f" % (
                g["skive"] * 1e6, g["ort"] * 1e6, g["ratio"]) if "ratio" in g else "not measured: %s | | " %
                g["error"].replace("|", "/")[:100]))
    return out


HEAD = """# Sweep against onnxruntime

Made by `bench/sweep/sweep.sh`, which makes the section of the machine it runs on anew and leaves the others. Ratios
are onnxruntime / skive: above 1, skive is faster; differences below 10 % are noise. Networks without a source have
random weights. *Two threads*: skive's time on one thread / on two, of the shortest runs, because two threads wait at
each layer for a core that other work has. *Plan* and *session*: from the file to what can run. Memory is the peak of
the process, onnxruntime's with its Python. Where skive loses most time, the numbers are sums over all models; nodes are
aligned by name, and rows "not aligned" hold nodes that only one side has (fused or inserted).
"""


def sections_of(path):
    """{heading: its lines} of a page that is there."""
    found = collections.OrderedDict()
    if path and os.path.exists(path):
        with open(path) as file:
            for line in file.read().splitlines():
                if line.startswith("## "):
                    lines = found.setdefault(line, [])
                if found:
                    lines.append(line)
    return found


def page(models, losses, grid_rows, path):
    found, own = sections_of(path), section(models, losses, grid_rows)
    old = found.get(own[0], [])
    if not grid_rows and "### Single operators" in old:  # a run without the grid leaves the one that is there
        own += [""] + old[old.index("### Single operators"):]
    found[own[0]] = own
    return HEAD + "\n" + "\n\n".join("\n".join(lines).rstrip() for lines in found.values()) + "\n"


def write(models, losses, rows):
    if OPTIONS.json:
        with open(OPTIONS.json, "w") as file:
            json.dump({"models": models, "losses": losses, "grid": rows}, file, indent=1)
    if OPTIONS.write:
        text = page(models, losses, rows, OPTIONS.write)
        with open(OPTIONS.write, "w") as file:
            file.write(text)


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
        print(page(models, losses, rows, None))
    return 0 if any("ratio" in m for m in models + rows) else 1


if __name__ == "__main__":
    sys.exit(main())
