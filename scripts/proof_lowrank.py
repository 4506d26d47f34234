"""The rows of scripts/proof_lowrank.sh: low-rank factorization on trained networks.

    proof_lowrank.py SKIVE

A row is measured once for each of its seeds, and its figures are kept in docs/results/lowrank.tsv beside a hash of its
settings; with the same settings it is not measured again. Networks are kept in a folder of their own under names made of
the command that makes them. The page docs/results/lowrank.md is made of what is in the table: a row that is not there is
listed as not run. Exit status 1: a row failed, or misses what it must reach.
"""
import dataclasses
import fnmatch
import gzip
import hashlib
import json
import math
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SKIVE = os.path.abspath(sys.argv[1])
SMOKE = os.environ.get("SMOKE") == "1"
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
WORK = pathlib.Path(os.environ.get("SKIVE_PROOF_WORK") or os.path.join(CACHE, "skive/proof/lowrank")).absolute()
RESULTS = WORK / "smoke" if SMOKE else pathlib.Path("docs/results").absolute()
TABLE, PAGE = RESULTS / "lowrank.tsv", RESULTS / "lowrank.md"
MNIST, MODELS, CIFAR = os.environ["SKIVE_MNIST"], os.environ["SKIVE_MODELS"], os.environ["CIFAR10"]
FIELDS = "net data row seed settings seconds figures".split()


def say(*what):
    print("proof_lowrank:", *what, file=sys.stderr, flush=True)


# ---- commands ----

def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(*args, check=True):
    """A command of skive on one thread in the working folder."""
    words = [SKIVE, *map(str, args), "-q"] + ([] if "-t" in args else ["-t", "1"])
    done = subprocess.run(words, cwd=WORK, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(" ".join(words) + ": " + done.stderr.strip()[-400:])
    return done


def as_json(*args):
    text = run(*args, "--json").stdout
    return json.loads(text[text.index("{"):])


def data(name):
    """The data set as skive's commands take it."""
    if name == "mnist":
        return "mnist:" + MNIST
    if name == "cifar10":
        return "folder:" + cifar()
    if name == "spectra":
        return "npy:" + str(spectra(1, 512))
    return name


def cifar():
    """The folder of CIFAR-10 as JPEG files, unpacked if need be."""
    at = pathlib.Path(CIFAR)
    if not at.is_dir():
        if not at.exists():
            raise RuntimeError(f"{CIFAR} is missing; set CIFAR10")
        at = WORK / "cifar10"
        if not at.is_dir():
            part = WORK / "cifar10.part"
            part.mkdir(exist_ok=True)
            subprocess.run(["tar", "-xJf", CIFAR, "-C", part], check=True)
            os.replace(part, at)
    for folder, names, _ in os.walk(at):
        if "train" in names:
            return folder
    raise RuntimeError(f"no folder 'train' in {at}")


def spectra(seed, n):
    """Made-up smooth spectra: sums of random steps, 640 numbers each."""
    path = WORK / f"spectra-{seed}-{n}.npy"
    if not path.exists():
        x = np.cumsum(np.random.default_rng(seed).standard_normal((n, 640)), axis=1).astype(np.float32) * 0.2 - 10
        np.save(WORK / "spectra.part.npy", x)
        os.replace(WORK / "spectra.part.npy", path)
    return path


SMALL = {"--limit": "300", "--epochs": "1", "-e": "1", "--finetune": "1", "--seconds": "0.01"}


def small(words):
    """In a smoke run: the same command with few samples and one epoch."""
    words = list(map(str, words))
    if not SMOKE:
        return words
    out = [SMALL.get(words[i - 1], w) if i else w for i, w in enumerate(words)]
    limited = out[0] in ("train", "eval", "compare", "factorize", "prune") or out[0] == "quantize" and "--qat" in out
    if limited and "--data" in out and "--limit" not in out:
        out += ["--limit", "300"]
    return out


def made(name, words, check=True):
    """The file that a command writes. Its name has a hash of the command, and it is not made again."""
    words = small(words)
    shown = [w.replace(MNIST, "MNIST").replace(MODELS, "MODELS").replace(str(WORK), ".").replace(CIFAR, "CIFAR10") for w in words]
    path = WORK / f"{name}-{hashlib.sha256(chr(0).join(shown).encode()).hexdigest()[:12]}.{'skv' if words[0] == 'pack' else 'onnx'}"
    if not path.exists():
        say("skive", " ".join(shown))
        part = path.with_name("part-" + path.name)
        run(*words, "-o", part.name)
        if check and path.suffix == ".onnx":
            sound(part)
        os.replace(part, path)
    return path.name


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def sound(path):
    """onnx's checker accepts the file, and onnxruntime loads it."""
    try:
        onnx.checker.check_model(onnx.load(path), full_check=True)
        session(path)
    except Exception as error:
        raise RuntimeError(f"{path.name}: {str(error)[-300:]}") from error


# ---- networks ----

# Where SMOKE does not say otherwise: network, data set, options of skive train.
NETS = {
    "lenet5-mnist": ("lenet5", "mnist", "--epochs 8"),
    "lenet5-fashion": ("lenet5", "fashion-mnist", "--epochs 8"),
    "mlp-mnist": ("mlp:300,100", "mnist", "--epochs 5 --limit 20000"),
    "lstm-mnist": ("lstm", "mnist", "--epochs 4 --limit 12000 --optimizer adam --lr 0.002"),
    "vgg-fashion": ("vgg-small", "fashion-mnist", "--epochs 4 --limit 8000"),
    "resnet20-cifar10": ("resnet20", "cifar10", "--epochs 5 --limit 10000 --lr 0.1"),
    "resnet8-fashion": ("resnet8", "fashion-mnist", "--epochs 5 --limit 12000"),
    "transformer-fashion": ("transformer", "fashion-mnist", "--epochs 4 --limit 10000 --optimizer adamw --lr 0.001"),
    "ad01": ("ad01", "spectra", ""),
    "gemm-4096": ("gemm-4096", "-", ""),
    "resnet50": ("resnet50", "-", ""),
}


def net(name, seed):
    network, source, options = NETS[name]
    if name == "ad01":
        return os.path.join(MODELS, "mlperf-tiny/ad01_fp32.onnx")
    return made(f"{name}-{seed}", ["train", network, "--data", data(source), *options.split(), "--seed", seed])


def source(row):
    return data(NETS[row.net][1])


def factorized(row, seed, base, options, name=None):
    """The factorized network; its options are words, {data} among them the data set."""
    words = [source(row) if w == "{data}" else w for w in options.split()]
    return made(f"{name or row.name}-{seed}", ["factorize", base, *words, "--seed", seed])


# ---- figures ----

def accuracy(row, model):
    return 100 * as_json(*small(["eval", model, "--data", source(row), "--resamples", "0"]))["accuracy"]


def compared(row, base, model):
    """Accuracies in percent, points lost with their paired interval, and how much smaller the model is."""
    report = as_json(*small(["compare", base, model, "--data", source(row), "--resamples", "0", "--seconds", "0.01"]))
    before, after = report["models"]
    to = after["to_first"]
    return {"before": 100 * before["accuracy"], "after": 100 * after["accuracy"], "lost": -100 * to["difference"],
            "low": -100 * to["high"], "high": -100 * to["low"], "n": after["n"],
            "parameters": before["parameters"] / after["parameters"], "macs": before["macs"] / after["macs"]}


def profile(model):
    return as_json("bench", model, *(["--seconds", "0.01", "-n", "3"] if SMOKE else ["--seconds", "0.1", "-n", "20"]), "--top", "1000")


def milliseconds(*models, times=9):
    """Medians of the median times of one sample, the models measured in turns."""
    got = [[profile(m)["p50"] for m in models] for _ in range(2 if SMOKE else times)]
    return [1e3 * statistics.median(g[i] for g in got) for i in range(len(models))]


def faster(base, model):
    before, after = milliseconds(base, model)
    return {"faster": before / after, "ms_before": before, "ms_after": after}


def layer_faster(base, model, node, times=9):
    """How much faster one layer is: the time of the node against that of all nodes that stand for it, least of several profiles in turns."""
    old = {n.name for n in onnx.load(WORK / base).graph.node}
    new = {n.name for n in onnx.load(WORK / model).graph.node} - old | {node}

    def took(path, names):
        return sum(n["seconds"] for n in profile(path)["nodes"] if n["node"] in names)
    got = [(took(base, {node}), took(model, new)) for _ in range(2 if SMOKE else times)]
    return min(g[0] for g in got) / min(g[1] for g in got)


# ---- functions of rows: row and seed, return the figures ----

def fine_tuned(row, seed):
    """Factorized and trained, against the network it was made of."""
    base = net(row.net, seed)
    model = factorized(row, seed, base, row.settings["options"])
    figures = compared(row, base, model) | faster(base, model)
    if "layer" in row.settings:
        figures["layer"] = layer_faster(base, model, row.settings["layer"])
    return figures


def scratch(row, seed):
    """The same shape from fresh weights, against the trained network that the others are made of."""
    base = net(row.net, seed)
    fresh = made(f"{row.name}-fresh-{seed}", ["zoo", NETS[row.net][0], "--seed", seed])
    shape = made(f"{row.name}-shape-{seed}", ["factorize", fresh, *row.settings["options"].split(), "--seed", seed])
    model = made(f"{row.name}-{seed}", ["train", shape, "--data", source(row), *row.settings["train"].split(), "--seed", seed])
    return compared(row, base, model) | faster(base, model)


def longer(row, seed):
    """The network as it is, trained on for as many epochs as the factorized ones."""
    base = net(row.net, seed)
    model = made(f"{row.name}-{seed}", ["train", base, "--data", source(row), *row.settings["train"].split(), "--seed", seed])
    return compared(row, base, model)


def not_further(row, seed):
    """The share that is asked for, and the smallest of those given that is reached."""
    base = net(row.net, seed)
    asked, taken = row.settings["asked"], row.settings["taken"]
    done = run(*small(["factorize", base, "--params", asked, "--data", source(row), "--no-measure", "-o", "scratch.onnx"]), check=False)
    model = factorized(row, seed, base, f"--params {taken if done.returncode else asked} {row.settings['options']}")
    said = done.stderr.strip().splitlines()[-1].split(": ", 1)[-1] if done.returncode else ""
    return compared(row, base, model) | faster(base, model) | {"said": said}


def vbmf(row, seed):
    """VBMF's rank of one layer, and the smallest that loses at most so much, the other layers as they are."""
    base, node, method = net(row.net, seed), row.settings["layer"], row.settings["method"]
    report = as_json("factorize", base, "--method", method, "--rank", "vbmf", "--no-round", "--no-measure", "--dry-run")
    layer = next(x for x in report["layers"] if x["node"] == node and x.get("method") == method)
    found, full = layer["rank"], layer["full_rank"]
    others = [w for x in report["layers"] if x["node"] != node for w in ("--layer", x["node"] + "=keep")]
    before = accuracy(row, base)

    def lost(rank):
        words = ["factorize", base, "--layer", f"{node}={method}:{rank}", *others, "--data", source(row), "--no-measure", "-o", "scratch.onnx"]
        done = run(*small(words), check=False)
        return before - accuracy(row, "scratch.onnx") if done.returncode == 0 else None
    rank, seen = 1, []
    while rank <= full:
        now = lost(rank)
        if now is None:  # no rank from here on is smaller than the layer
            break
        seen.append(f"{rank}:{now:.2f}")
        if now <= row.settings["points"]:
            break
        rank = max(rank + 1, math.ceil(rank * row.settings["step"]))
    reached = seen and float(seen[-1].split(":")[1]) <= row.settings["points"]
    scan = rank if reached else None
    return {"layer_name": node, "vbmf": found, "vbmf_lost": lost(found), "scan": scan, "full": full, "seen": " ".join(seen),
            "off": 100 * abs(found / scan - 1) if scan else None}


def whitened(row, seed):
    """Errors of the outputs of all layers at three ranks, and accuracy at half the rank, for both kinds of factors."""
    base, spec = net(row.net, seed), source(row)
    count, worse, ratios, half, skipped = 0, 0, [], [], 0
    for method in ("svd", "channel", "spatial"):
        report = as_json("factorize", base, "--method", method, "--rank", "1", "--data", spec, "--no-measure", "--dry-run")
        full = {x["node"]: x["full_rank"] for x in report["layers"] if x.get("method") == method}
        if method != "spatial":
            half += [w for node, rank in full.items() for w in ("--layer", f"{node}={method}:{max(rank // 2, 1)}")]
        done = set()
        for share in row.settings["shares"]:
            ranks = {node: max(int(share * rank), 1) for node, rank in full.items()}
            layers = [w for node, rank in ranks.items() for w in ("--layer", f"{node}={method}:{rank}")]
            if not layers:
                continue
            report = as_json("factorize", base, *layers, "--rank", "1", "--data", spec, "--no-measure", "--dry-run")
            for x in report["layers"]:
                if x["node"] not in ranks or x.get("method") != method or x.get("rank") != ranks[x["node"]]:
                    continue
                if (x["node"], x["rank"]) in done:
                    continue
                done.add((x["node"], x["rank"]))
                if x["output_error"] is None or x["plain_output_error"] is None:
                    skipped += 1
                    continue
                count += 1
                worse += x["output_error"] > x["plain_output_error"] * (1 + 1e-6) + 1e-7
                if x["plain_output_error"] > 1e-6:
                    ratios.append(x["output_error"] / x["plain_output_error"])
    figures = {"count": count, "worse": worse, "skipped": skipped, "ratio": float(np.mean(ratios))}
    if row.net == "ad01":
        return figures
    # a rank that does not pay is kept; --method svd --rank 5000 leaves what half a rank is not for
    rest = ["--method", "svd", "--rank", "5000", "--no-measure", "--seed", seed]
    plain = made(f"{row.name}-plain-{seed}", ["factorize", base, *half, "--weighting", "plain", *rest])
    outputs = made(f"{row.name}-outputs-{seed}", ["factorize", base, *half, "--data", spec, *rest])
    a, b, c = accuracy(row, base), accuracy(row, plain), accuracy(row, outputs)
    figures |= {"before": a, "plain": b, "outputs": c, "less": (a - b) / (a - c) if a > c else math.inf}
    return figures


def int8(row, seed):
    """Accuracies in float and in INT8, quantized without training, of the network and of those made of it."""
    base = net(row.net, seed)
    models = [("trained", base)] + [(other, factorized(BY_NAME[other], seed, base, BY_NAME[other].settings["options"]))
                                    for other in row.settings["rows"]]
    figures = []
    for name, model in models:
        run(*small(["quantize", model, "--data", source(row), "-o", "scratch-int8.onnx"]))
        figures.append([name, accuracy(row, model), accuracy(row, "scratch-int8.onnx")])
    first = figures[0]
    # what quantization costs a factorized network beyond what it costs the network
    more = [(f[1] - f[2]) - (first[1] - first[2]) for f in figures[1:]]
    return {"nets": figures, "more": max(more)}


def latency(row, seed):
    base = net(row.net, seed)
    words = small(["factorize", base, "--latency", row.settings["share"], "--data", source(row), "--limit", 2000, "-o", f"{row.name}.onnx"])
    report = as_json(*words)
    slower = [x["node"] for x in report["layers"] if x["factorized"] and x["seconds"] > x["seconds_before"]]
    before, after = milliseconds(base, f"{row.name}.onnx", times=15)
    return {"takes": after / before, "command": report["after"]["seconds"] / report["before"]["seconds"], "slower": len(slower),
            "which": ", ".join(slower), "ms_before": before, "ms_after": after, "lost": compared(row, base, f"{row.name}.onnx")["lost"]}


def budget(row, seed):
    """By harm against the same share of each layer; dominated: the latter has no more MACs and more accuracy."""
    base = net(row.net, seed)
    options = f"--macs {row.settings['share']} --data {{data}} --no-measure"
    harm = factorized(row, seed, base, options)
    uniform = factorized(row, seed, base, options + " --uniform", row.name + "-uniform")
    of = compared(row, uniform, harm)
    return {"uniform": of["before"], "harm": of["after"], "better": -of["lost"], "low": -of["high"], "high": -of["low"],
            "n": of["n"], "macs": of["macs"], "trained": accuracy(row, base),
            "dominated": int(of["lost"] > 0 and of["macs"] <= 1)}


def mnist_rows(model, n):
    """The first test images as the model's input takes them: rows of pixels, with its mean and deviation."""
    file = pathlib.Path(MNIST) / "t10k-images-idx3-ubyte"
    raw = file.read_bytes() if file.exists() else gzip.open(str(file) + ".gz").read()
    x = np.frombuffer(raw[16:16 + n * 784], np.uint8).reshape(n, 28, 28).astype(np.float32) / 255
    loaded = onnx.load(model)
    meta = {p.key: p.value for p in loaded.metadata_props}
    if meta.get("skive.input.mean", "none") != "none":
        x = (x - np.float32(meta["skive.input.mean"])) / np.float32(meta["skive.input.std"])
    return x.reshape([n] + [d.dim_value for d in loaded.graph.input[0].type.tensor_type.shape.dim][1:])


def snr(row, seed):
    """Signal to noise of the outputs (dB) by onnxruntime, of plain factors and of those that keep outputs."""
    base = WORK / net(row.net, seed)
    x = np.load(spectra(2, 256)) if row.net == "ad01" else mnist_rows(base, 256)

    def outputs(path):
        s = session(path)
        return s.run(None, {s.get_inputs()[0].name: x})[0].astype(np.float64)
    figures = {"plain_db": None, "outputs_db": None, "gain": None, "said": ""}
    right = outputs(base)
    for key, options in (("plain_db", ["--weighting", "plain"]), ("outputs_db", ["--data", source(row)])):
        done = run("factorize", base, "--params", row.settings["share"], "--no-measure", "-o", "scratch.onnx", *options, check=False)
        if done.returncode:
            figures["said"] = done.stderr.strip().splitlines()[-1].split(": ", 1)[-1]
            continue
        figures[key] = 10 * math.log10(np.sum(right ** 2) / max(np.sum((right - outputs(WORK / "scratch.onnx")) ** 2), 1e-30))
    if figures["plain_db"] is not None and figures["outputs_db"] is not None:
        figures["gain"] = figures["outputs_db"] - figures["plain_db"]
    return figures


def chain(row, seed):
    """One network through all stages; sizes, accuracies and times of each."""
    base = net(row.net, seed)
    files = [("trained", base)]
    for title, words in row.settings["stages"]:
        words = [base if w == "{trained}" else source(row) if w == "{data}" else w for w in words.split()]
        command = [words[0], files[-1][1], *words[1:]]
        if words[0] == "share":  # tried on what is quantized, where it is refused
            done = run(*command, "-o", "scratch.onnx", check=False)
            if done.returncode:
                said = done.stderr.strip().splitlines()[-1].rsplit(": ", 1)[-1].split(". ")[0]
                files.append((f"{title}: refused ({said})", None))
                files.append(files[-2])
                continue
        if words[0] != "pack":
            command += ["--seed", seed]
        files.append((title, made(f"{row.name}-{words[0]}-{seed}", command)))
    stages, shown = [], []
    for title, file in files:
        if file not in shown:
            shown.append(file)
    taken = dict(zip((f for f in shown if f), milliseconds(*(f for f in shown if f))))
    for title, file in files:
        if file is None:
            stages.append({"stage": title})
        elif not any(s.get("file") == file for s in stages):
            of = compared(row, base, file) if file != base else {"after": accuracy(row, base), "lost": 0.0}
            stages.append({"stage": title, "file": file, "accuracy": of["after"], "lost": of["lost"], "low": of.get("low"),
                           "high": of.get("high"), "n": of.get("n"), "bytes": (WORK / file).stat().st_size, "ms": taken[file]})
    # made() has loaded each ONNX file in onnxruntime, or the row has failed
    return {"stages": stages, "lost": stages[-1]["lost"], "loaded": sum(f.endswith(".onnx") for f in taken)}


def speed(row, seed):
    """Seconds of the decomposition, by build/bench_svd beside the command, on one thread and on two."""
    size, rank = (512, 32) if SMOKE else (row.settings["size"], row.settings["rank"])
    program = pathlib.Path(SKIVE).with_name("bench_svd")
    if not program.exists():
        raise RuntimeError(f"{program} is missing: build with SKIVE_BENCH")
    figures = {}
    for threads in ("1", "2"):
        before = cpu()
        done = subprocess.run([program, "--size", str(size), "--rank", str(rank), "--threads", threads], capture_output=True, text=True,
                              input=f"run {row.settings['times']}\nquit\n", check=True)
        used = json.loads(done.stdout)["seconds"]
        figures |= {f"wall{threads}": statistics.median(used), f"least{threads}": min(used),
                    f"cpu{threads}": (cpu() - before) / row.settings["times"]}
    return figures | {"lost": float(done.stderr.split()[-1])}


def plan(row, seed):
    """ResNet-50 factorized without times of layers, and a dry run of all methods with them: seconds, and memory to the file's size."""
    file = "scratch-resnet50.onnx"
    run("zoo", "resnet50:0.125" if SMOKE else "resnet50", "--seed", seed, "-o", file)
    size = (WORK / file).stat().st_size
    figures = {"size": size}
    for name, more in (("alone", ["--no-measure", "-o", "scratch.onnx"]), ("timed", ["--dry-run"])):
        # A cost table of its own, empty: every time is measured
        start = time.perf_counter()
        command = [SKIVE, "factorize", file, "--macs", "0.5", "-t", "2", "-q", *more]
        with tempfile.TemporaryDirectory() as cache:
            child = subprocess.Popen(command, cwd=WORK, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                     env=os.environ | {"XDG_CACHE_HOME": cache})
            _, status, used = os.wait4(child.pid, 0)
            if status:
                raise RuntimeError(" ".join(map(str, command)) + ": " + child.stderr.read().strip()[-400:])
        figures |= {f"{name}_seconds": time.perf_counter() - start, f"{name}_memory": used.ru_maxrss * 1024 / size}
    (WORK / file).unlink()
    return figures


# ---- rows ----

@dataclasses.dataclass
class Goal:
    """What a figure must reach, and the aim: "<= 0.3" or ">= 2"; over several seeds their mean, or the worst."""
    figure: str
    text: str
    must: str = ""
    aim: str = ""
    over: str = "mean"


@dataclasses.dataclass
class Row:
    name: str
    part: str
    function: object
    net: str
    what: str
    goals: list
    settings: dict
    seeds: tuple = (1, 2, 3)
    reason: str = ""  # said where it misses what it must

    def hash(self):
        others = [BY_NAME[name].settings for name in self.settings.get("rows", [])]
        said = json.dumps([self.function.__name__, NETS[self.net], self.settings, others, SMOKE], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:12]


def sizes(lost, aim_lost="", parameters="", aim_parameters="", macs="", faster_="", aim_faster=""):
    goals = [Goal("parameters", "fewer parameters, times", parameters, aim_parameters), Goal("macs", "fewer MACs, times", macs),
             Goal("faster", "faster, times", faster_, aim_faster), Goal("lost", "points of accuracy lost", lost, aim_lost)]
    return [g for g in goals if g.must or g.aim]


TUNE = " --data {data} --finetune 3"
SHAPE = "--layer fc1=svd:{} --layer conv2=tucker2:{} --layer conv1=keep --layer fc2=keep --no-measure"
SHAPE_10, SHAPE_5, SHAPE_4 = SHAPE.format(20, 20), SHAPE.format(44, 24), SHAPE.format(60, 28)
VGG = " --data {data} --limit 8000 --finetune 3"
NO_RECURRENT = ("Recurrent weights stay as they are, for no ONNX operator takes them in two factors: they are 80 % of this network, which "
                "cannot have less than 0.82 of its parameters. The row has what is reached.")
ROWS = [
    Row("lenet5-mnist-5x", "lenet", fine_tuned, "lenet5-mnist", "svd of fc1 (rank 44), tucker2 of conv2 (24), fine-tuned",
        sizes("<= 0.05", "", ">= 5", "", ">= 2", ">= 1.5"), {"options": SHAPE_5 + TUNE}),
    Row("lenet5-mnist-10x", "lenet", fine_tuned, "lenet5-mnist", "the same with ranks 20 and 20",
        sizes("", "<= 0.1", "", ">= 10"), {"options": SHAPE_10 + TUNE}),
    Row("lenet5-mnist-untuned", "lenet", fine_tuned, "lenet5-mnist", "ranks 20 and 20, not fine-tuned", [],
        {"options": SHAPE_10 + " --data {data}"}),
    Row("lenet5-mnist-untuned-plain", "lenet", fine_tuned, "lenet5-mnist", "the same by plain SVD, not fine-tuned", [],
        {"options": SHAPE_10 + " --weighting plain"}),
    Row("lenet5-mnist-plain", "lenet", fine_tuned, "lenet5-mnist", "control: ranks 20 and 20 by plain SVD, fine-tuned", [],
        {"options": SHAPE_10 + " --weighting plain" + TUNE}),
    Row("lenet5-mnist-uniform", "lenet", fine_tuned, "lenet5-mnist", "control: about the same share of each layer, fine-tuned", [],
        {"options": "--layer fc1=svd:24 --layer conv2=spatial:8 --layer conv1=channel:1 --layer fc2=svd:1 --no-measure" + TUNE}),
    Row("lenet5-mnist-scratch", "lenet", scratch, "lenet5-mnist", "control: the shape of ranks 20 and 20 from fresh weights, 11 epochs", [],
        {"options": SHAPE_10, "train": "--epochs 11"}),
    Row("lenet5-mnist-cp", "lenet", fine_tuned, "lenet5-mnist", "cp:40 of conv2 only, fine-tuned (seed 1)", [],
        {"options": "--layer conv2=cp:40 --method svd --rank 500 --no-measure" + TUNE, "layer": "conv2"}, (1,)),
    Row("lenet5-fashion-4x", "lenet", fine_tuned, "lenet5-fashion", "svd of fc1 (rank 60), tucker2 of conv2 (28), fine-tuned",
        sizes("<= 0.3", "<= 0.1", ">= 4"), {"options": SHAPE_4 + TUNE}),

    *[Row(f"vbmf-{node}", "vbmf", vbmf, "lenet5-mnist", f"VBMF's rank of {node} ({method}) against the smallest that loses at most 0.1 point",
          [Goal("off", "difference of the ranks, %", "<= 25")], {"layer": node, "method": method, "points": 0.1, "step": 1.1}, (1,),
          "VBMF takes for noise what noise in the weights would explain, and after this little training most of the weights are still "
          "their random start. See docs/factorization.md: it is for networks that are trained for long, and for fine-tuning after it.")
      for node, method in (("fc1", "svd"), ("conv2", "channel"))],

    *[Row("whitened-" + name, "whitened", whitened, name, "factors that keep outputs against plain SVD, no fine-tuning",
          [Goal("worse", "layers and ranks with a larger error", "<= 0", "", "max")] +
          ([] if name == "ad01" else [Goal("less", "less loss at half the rank, times", ">= 2")]),
          {"shares": [0.25, 0.5, 0.75]}, (1,) if name == "ad01" else (1, 2, 3),
          "In an LSTM only the input weights and the last layer are factorized, the former with the same factors at every step; why "
          "keeping outputs helps less there was not looked for." if name == "lstm-mnist" else "")
      for name in ("lenet5-mnist", "mlp-mnist", "lstm-mnist", "ad01")],

    Row("vgg-half", "images", fine_tuned, "vgg-fashion", "`--macs 0.5`, fine-tuned", sizes("<= 0.7", "<= 0.3", macs=">= 2"),
        {"options": "--macs 0.5" + VGG}),
    Row("vgg-cp", "images", fine_tuned, "vgg-fashion", "cp:64 of the widest layer only (stage3.conv2), fine-tuned",
        [Goal("layer", "that layer faster, times", ">= 2.5", ">= 4"), Goal("lost", "points of accuracy lost", "<= 1")],
        {"options": "--layer stage3.conv2=cp:64 --method svd --rank 5000 --no-measure" + VGG, "layer": "stage3.conv2"}),
    Row("vgg-longer", "images", longer, "vgg-fashion", "control: the network itself, trained on for 3 epochs (seed 1)", [],
        {"train": "--limit 8000 --epochs 3"}, (1,)),
    Row("vgg-int8", "images", int8, "vgg-fashion", "INT8 by `quantize` without training (seed 1)", [], {"rows": ["vgg-half", "vgg-cp"]}, (1,)),
    Row("resnet20-half", "images", fine_tuned, "resnet20-cifar10", "`--macs 0.5`, fine-tuned (seed 1)", sizes("<= 0.7", macs=">= 2"),
        {"options": "--macs 0.5 --data {data} --limit 10000 --finetune 3 --lr 0.02"}, (1,)),

    Row("transformer-half", "sequences", fine_tuned, "transformer-fashion", "half the parameters, from feed-forward and query, key, value",
        sizes("<= 0.3", parameters=">= 2", faster_=">= 1.5"),
        {"options": "--params 0.499 --layer embedding=keep --layer block1.attention.output=keep --layer block2.attention.output=keep "
         "--layer fc=keep --data {data} --limit 10000 --finetune 3 --optimizer adamw --lr 0.0005"}),
    Row("transformer-longer", "sequences", longer, "transformer-fashion", "control: the network itself, trained on for 3 epochs (seed 1)", [],
        {"train": "--limit 10000 --epochs 3 --optimizer adamw --lr 0.0005"}, (1,)),
    Row("lstm-half", "sequences", not_further, "lstm-mnist", "half the parameters asked; 0.83 of them taken",
        sizes("<= 0.3", parameters=">= 2", faster_=">= 1.5"),
        {"asked": "0.5", "taken": "0.83", "options": "--data {data} --limit 12000 --finetune 3 --optimizer adam --lr 0.001"}, reason=NO_RECURRENT),

    *[Row("latency-" + name, "latency", latency, name, "`--latency 0.6`, not fine-tuned",
          [Goal("takes", "share of the time that it takes", "<= 0.63", ">= 0.57"), Goal("slower", "layers slower than before", "<= 0", "", "max")],
          {"share": "0.6"})
      for name in ("lenet5-mnist", "vgg-fashion")],

    *[Row(f"budget-{name}-{share}", "budget", budget, name, f"{share} of the MACs",
          [Goal("dominated", "seeds in which it is dominated", "<= 0", "", "sum"), Goal("better", "points better", "", ">= 0.5")],
          {"share": share})
      for name in ("lenet5-mnist", "lenet5-fashion") for share in ("0.7", "0.5", "0.3")],

    *[Row(f"snr-{name}-{share}", "snr", snr, name, f"{share} of the parameters",
          [Goal("gain", "dB above plain", ">= 0", "", "min")], {"share": share}, (1,) if name == "ad01" else (1, 2, 3),
          NO_RECURRENT.replace(" The row has what is reached.", "") if name == "lstm-mnist" else "")
      for name in ("ad01", "lstm-mnist") for share in ("0.9", "0.8", "0.7")],

    Row("chain-resnet8", "chain", chain, "resnet8-fashion", "all stages, against the trained network (seed 1)",
        [Goal("lost", "points of accuracy lost", "<= 1", "<= 0.5"), Goal("loaded", "ONNX files that onnxruntime loads", ">= 4")],
        {"stages": [
            ["`prune --structured --macs 0.7`, 3 epochs",
             "prune --structured --macs 0.7 --criterion group-norm --data {data} --limit 12000 --finetune 3"],
            ["`factorize --macs 0.8`, 3 epochs", "factorize --macs 0.8 --data {data} --limit 12000 --finetune 3"],
            ["`quantize --qat --weights int4`, 2 epochs, the trained network as teacher",
             "quantize --data {data} --limit 12000 --qat -e 2 --weights int4 --teacher {trained} --distill-alpha 0.5"],
            ["`share`", "share"],
            ["`pack`", "pack"]]}, (1,)),

    Row("speed-4096", "speed", speed, "gemm-4096", "a matrix of 4096 x 4096 to rank 256",
        [Goal("wall1", "seconds, one thread", "< 2"), Goal("wall2", "seconds, two threads", "< 2")],
        {"size": 4096, "rank": 256, "times": 5, "by": "bench_svd"}, (1,)),
    Row("speed-resnet50", "plan", plan, "resnet50", "`--macs 0.5`, without times of layers; then `--dry-run` with all methods and times",
        [Goal("alone_seconds", "seconds to the factors", "< 20"), Goal("timed_seconds", "seconds, all methods and times", "< 60"),
         Goal("alone_memory", "memory to the factors, to the file's size", "<= 2"),
         Goal("timed_memory", "memory, all methods and times, to the file's size", "<= 2")], {"alone": "written"}, (1,),
        "The program and its libraries are in it, some 20 MB. To be timed the whole network is in memory a second time as kernels want it, and 3x3 "
        "convolutions by Winograd's algorithm have 16 numbers where the file has 9."),
]
BY_NAME = {row.name: row for row in ROWS}


# ---- the table ----

def read():
    """Measured figures by row and seed, of those whose settings are today's."""
    got = {}
    if TABLE.exists():
        for line in TABLE.read_text().splitlines()[1:]:
            cells = dict(zip(FIELDS, line.split("\t")))
            row = BY_NAME.get(cells["row"])
            if row and cells["settings"] == row.hash():
                got.setdefault(row.name, {})[int(cells["seed"])] = json.loads(cells["figures"])
    return got


def keep(row, seed, seconds, figures):
    """Adds a line; one of the same row and seed, or of a row that is no more, goes."""
    lines = TABLE.read_text().splitlines()[1:] if TABLE.exists() else []
    lines = [x for x in lines if x.split("\t")[2] in BY_NAME and x.split("\t")[2:4] != [row.name, str(seed)]]
    rounded = json.loads(json.dumps(figures), parse_float=lambda x: float(f"{float(x):.6g}"))
    lines.append("\t".join([row.net, NETS[row.net][1], row.name, str(seed), row.hash(), f"{seconds:.0f}", json.dumps(rounded)]))
    part = TABLE.with_name(TABLE.name + ".part")
    part.write_text("\n".join(["\t".join(FIELDS), *lines]) + "\n")
    os.replace(part, TABLE)


# ---- the page ----

OVER = {"mean": statistics.mean, "max": max, "min": min, "sum": sum}


def holds(condition, value):
    sign, limit = condition.split()
    return {"<=": value <= float(limit), ">=": value >= float(limit), "<": value < float(limit)}[sign]


def number(x):
    if x is None:
        return "not reached"
    if math.isinf(x):
        return "no loss"
    if x == int(x):
        return str(int(x))
    return f"{x:.3f}" if abs(x) < 1 else f"{x:.2f}"


def verdicts(row, got):
    """For each goal its text, must, aim, the figure, and whether must and aim are met."""
    for goal in row.goals:
        values = [f.get(goal.figure) for f in got.values()]
        value = None if None in values else OVER[goal.over](values)
        yield (goal, value, *("" if not c else "met" if value is not None and holds(c, value) else "missed" for c in (goal.must, goal.aim)))


def seeds_of(got):
    return " ".join(map(str, sorted(got)))


def signed(x):
    return f"{round(x, 2) + 0.0:+.2f}"


def table(rows, got, head, cells):
    """A table of all measurements of some rows, one line for each seed."""
    lines = ["| row | seed | " + " | ".join(head) + " |", "|---|---:|" + "---:|" * len(head)]
    for row in rows:
        for seed, f in sorted(got.get(row.name, {}).items()):
            lines.append(f"| {row.name} | {seed} | " + " | ".join(cells(f)) + " |")
    return lines + [""] if len(lines) > 2 else ["Not run.", ""]


def times(x):
    return "-" if x is None else f"{x:.2f}x"


def accuracy_cells(f):
    return [f"{f['before']:.2f}", f"{f['after']:.2f}", f"{signed(f['lost'])} [{signed(f['low'])}, {signed(f['high'])}]", str(f["n"]),
            times(f["parameters"]), times(f["macs"]), times(f.get("faster")), times(f.get("layer"))]


ACCURACY = ["before %", "after %", "points lost [95 %]", "images", "fewer parameters", "fewer MACs", "faster", "that layer faster"]


def accuracy_part(rows, got):
    lines = table([r for r in rows if r.function is not int8], got, ACCURACY, accuracy_cells)
    for row in rows:
        for seed, f in sorted(got.get(row.name, {}).items()):
            if row.function is int8:
                lines += ["INT8 told apart from what the factors cost:", "", "| network | float % | INT8 % |", "|---|---:|---:|"]
                lines += [f"| {n} | {a:.2f} | {b:.2f} |" for n, a, b in f["nets"]] + [""]
            if f.get("said"):
                lines += fill(f"{row.name}, seed {seed}, the answer to `--params {row.settings['asked']}`: {f['said']}.") + [""]
    return lines


def vbmf_part(rows, got):
    lines = table(rows, got, ["VBMF's rank", "loses, points", "smallest with <= 0.1", "full rank"],
                  lambda f: [str(f["vbmf"]), "-" if f["vbmf_lost"] is None else signed(f["vbmf_lost"]), number(f["scan"]), str(f["full"])])
    for row in rows:
        for f in got.get(row.name, {}).values():
            lines += fill(f"{row.name}, ranks looked at and the points they lose: {f['seen']}.") + [""]
    return lines


def whitened_part(rows, got):
    def cells(f):
        some = [f"{f[k]:.2f}" if k in f else "-" for k in ("before", "plain", "outputs")]
        count = f"{f['count']} ({f['skipped']} not comparable)" if f["skipped"] else str(f["count"])
        return [count, str(f["worse"]), f"{f['ratio']:.2f}", *some, times(f.get("less"))]
    return table(rows, got, ["layers and ranks", "worse than plain", "mean ratio of errors", "trained %", "half rank, plain %",
                             "half rank, outputs %", "less loss"], cells)


def latency_part(rows, got):
    return table(rows, got, ["ms before", "ms after", "takes", "by the command", "layers slower", "points lost"],
                 lambda f: [f"{f['ms_before']:.3f}", f"{f['ms_after']:.3f}", f"{f['takes']:.2f}", f"{f['command']:.2f}",
                            f["which"] or "none", signed(f["lost"])])


def budget_part(rows, got):
    return table(rows, got, ["trained %", "by harm %", "same share %", "points better [95 %]", "images", "MACs, same share : by harm"],
                 lambda f: [f"{f['trained']:.2f}", f"{f['harm']:.2f}", f"{f['uniform']:.2f}",
                            f"{signed(f['better'])} [{signed(f['low'])}, {signed(f['high'])}]", str(f["n"]), f"{f['macs']:.3f}"])


def snr_part(rows, got):
    def db(x):
        return "not reached" if x is None else f"{x:.1f}"
    return table(rows, got, ["plain, dB", "outputs on data, dB"], lambda f: [db(f["plain_db"]), db(f["outputs_db"])])


def chain_part(rows, got):
    lines = []
    for row in rows:
        for seed, f in sorted(got.get(row.name, {}).items()):
            lines += [f"Seed {seed}:", "", "| stage | accuracy % | points lost [95 %] | bytes | ms, one sample |", "|---|---:|---:|---:|---:|"]
            for s in f["stages"]:
                if "accuracy" not in s:
                    lines.append(f"| {s['stage']} | - | - | - | - |")
                    continue
                span = f"{signed(s['lost'])} [{signed(s['low'])}, {signed(s['high'])}]" if s["low"] is not None else "-"
                lines.append(f"| {s['stage']} | {s['accuracy']:.2f} | {span} | {s['bytes']} | {s['ms']:.3f} |")
            lines.append("")
    return lines or ["Not run.", ""]


def plan_part(rows, got):
    return table(rows, got, ["bytes of the file", "factors: seconds", "memory to the file", "all methods and times: seconds", "memory to the file"],
                 lambda f: [f"{f['size']}"] + [f"{f[k]:.2f}" for k in ("alone_seconds", "alone_memory", "timed_seconds", "timed_memory")])


def speed_part(rows, got):
    return table(rows, got, ["one thread: median s", "least s", "processor s", "two threads: median s", "least s", "processor s"],
                 lambda f: [f"{f[k + t]:.2f}" for t in "12" for k in ("wall", "least", "cpu")])


PARTS = {
    "lenet": ("LeNet-5: a fully connected layer by svd, a convolution by tucker2", accuracy_part,
              "Trained for 8 epochs on all 60,000 images of MNIST or Fashion-MNIST (5,000 of them are held out for validation), and factorized "
              "with the outputs on data kept, unless the row says plain. Fine-tuning is 3 epochs on the same images; the network before "
              "factorization is the teacher, as it is by default. The shape from fresh weights is trained for as many epochs as both "
              "together. \"The same share\": 8 to 11 % of the parameters of each layer, by the ranks fc1 24, conv2 8 (spatial), conv1 1 and fc2 1."),
    "vbmf": ("VBMF's rank", vbmf_part,
             "One layer at a time, the others as they are, no fine-tuning; each rank tried is at most a tenth larger than the one before. "
             "Both ranks are judged on the 10,000 test images."),
    "whitened": ("Factors that keep outputs against factors that keep weights", whitened_part,
                 "All layers that svd, channel or spatial are for, at a quarter, half and three quarters of their rank: the error of the outputs on "
                 "the samples. Then every layer at half its rank by svd or channel, without fine-tuning. MLP 300-100: 5 epochs on 20,000 "
                 "images of MNIST; LSTM over the rows of the images: 4 epochs on 12,000. `ad01` is the autoencoder of MLPerf Tiny on made-up "
                 "smooth spectra."),
    "images": ("Convolutional networks", accuracy_part,
               "vgg-small: 4 epochs on 8,000 images of Fashion-MNIST, fine-tuning 3 epochs on the same. ResNet-20: 5 epochs on 10,000 images of "
               "CIFAR-10 (JPEG files), fine-tuning 3 epochs. Networks trained for so short a time still get better, and so does a "
               "factorized one in its fine-tuning: the control tells how much of that is training alone."),
    "sequences": ("Transformer encoder and LSTM", accuracy_part,
                  "`transformer` of the zoo (two blocks of width 128) reads the 28 rows of an image of Fashion-MNIST as a sequence: 4 epochs on "
                  "10,000 images, fine-tuning 3 epochs. Its embedding, the projection of each attention's result and the last layer are kept, so "
                  "that what is saved comes from the feed-forward parts and query, key and value. LSTM: 4 epochs on 12,000 images of MNIST."),
    "latency": ("A budget of time", latency_part,
                "\"By the command\" is what `factorize` measured itself after its choice, \"takes\" a measurement of the written file afterwards. "
                "\"Within 5 %\" is judged from above; the aim is that it is not farther below either."),
    "budget": ("A budget of MACs against the same share of each layer", budget_part,
               "No fine-tuning. The form of the harm (a square root of the gradient's part) was chosen on LeNet-5, MNIST and its test images; "
               "Fashion-MNIST was not looked at for it. Dominated: the same share has no more MACs and more accuracy."),
    "snr": ("Output signal to noise without training", snr_part,
            "`ad01`: 512 spectra to look at and 256 others to measure; the LSTM on 256 test images of MNIST. Computed by onnxruntime."),
    "chain": ("A chain of methods: ResNet-8 on Fashion-MNIST", chain_part,
              "5 epochs on 12,000 images. Each stage starts from the file of the one before, and onnxruntime loads each ONNX file. Weights on the "
              "grid int4 have 16 values a channel: `share` is for float weights, and the packer stores these in 4 bits or less."),
    "speed": ("Speed", speed_part,
              "Normally distributed numbers; the decomposition by itself, median of 5, `build/bench_svd`."),
    "plan": ("ResNet-50", plan_part,
             "Without data, on two threads: half the multiply-accumulates, and in the dry run for each layer the best of each method with its error and its "
             "time. Memory is the most that the process had, its program and libraries included."),
}
FIXED = ["The exactness of decompositions, of truncation errors (the root of the sum of the squared singular values left out), of known ranks "
         "with and without noise, and of the allocation against brute force are tests: `tests/test_linear.c` and `tests/test_factorize.c`; files in "
         "onnxruntime are in `tests/oracle/check_factorize.py`."]


def fill(text, width=118):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return lines + [line]


def page():
    got = read()
    lines = ["# Low-rank factorization, measured", ""]
    lines += fill("Made by `make proof-lowrank` (`scripts/proof_lowrank.py`) from `lowrank.tsv`. One thread unless said. Accuracies are of the "
                  "10,000 test images; points lost are the difference on the same images, with Newcombe's 95 % interval for paired "
                  "proportions (below zero: gained). What a row must reach and its aim are judged by the mean over its seeds, layers and "
                  "allocations by the worst seed. Times are medians of repetitions of the network before and after in turns, one sample; those of a "
                  "layer by itself are the least of nine profiles. The machine did other work as well. Every ONNX file passed onnx's "
                  "checker and was loaded by onnxruntime.") + [""]
    if SMOKE:
        lines += ["A smoke run: nothing on this page means anything.", ""]
    lines += ["## What must be reached", "", "| row | seeds | figure | must | aim | measured | must | aim |", "|---|---|---|---|---|---:|---|---|"]
    missed = []
    for row in ROWS:
        if not row.goals:
            continue
        if row.name not in got:
            lines.append(f"| {row.name} | | {'; '.join(g.text for g in row.goals)} | "
                         f"{'; '.join(g.must or '-' for g in row.goals)} | {'; '.join(g.aim or '-' for g in row.goals)} | not run | | |")
            continue
        for goal, value, must, aim in verdicts(row, got[row.name]):
            bold = [v.replace("missed", "**missed**") or "-" for v in (must, aim)]
            cells = [row.name, seeds_of(got[row.name]), goal.text, goal.must or "-", goal.aim or "-", number(value), *bold]
            lines.append("| " + " | ".join(cells) + " |")
            if must == "missed":
                missed.append((row, goal, value))
    lines.append("")
    if missed:
        lines += ["Rows that miss what they must reach:", ""]
        seen = []
        for row, goal, value in missed:
            if row in seen:
                continue
            seen.append(row)
            text = "; ".join(f"{g.text}: {number(v)} instead of {g.must}" for r, g, v in missed if r is row)
            told = fill(f"- {row.name}: {text}. {row.reason or 'The reason was not looked for.'}")
            lines += [told[0]] + ["  " + x for x in told[1:]]
        lines.append("")
    unfinished = [f"{r.name} ({' '.join(str(s) for s in r.seeds if s not in got.get(r.name, {}))})" for r in ROWS
                  if set(r.seeds) - set(got.get(r.name, {}))]
    lines += fill("Not run (seeds that are missing): " + (", ".join(unfinished) or "none") + ".") + [""]
    for key, (title, part, text) in PARTS.items():
        rows = [r for r in ROWS if r.part == key]
        lines += [f"## {title}", "", *fill(text), ""]
        told = [f"- `{r.name}`: {r.what}" for r in rows]
        lines += [x for t in told for x in [fill(t)[0], *["  " + y for y in fill(t)[1:]]]] + [""]
        lines += part(rows, got)
    lines += ["## Not made by the script", ""]
    for text in FIXED:
        lines += fill(text) + [""]
    part = PAGE.with_name(PAGE.name + ".part")
    part.write_text("\n".join(lines).rstrip("\n") + "\n")
    os.replace(part, PAGE)
    return missed


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    only, failed = os.environ.get("ONLY", "*"), False
    chosen = [row for row in ROWS if fnmatch.fnmatch(row.name, only)]
    if not chosen:
        raise SystemExit(f"proof_lowrank: no row is called {only}")
    got = read()
    if os.environ.get("LIST") == "1":
        for row in chosen:
            print(row.name, "seeds", *row.seeds, "there:", seeds_of(got.get(row.name, {})) or "none")
        return
    for row in chosen:
        for seed in [int(s) for s in os.environ["SEEDS"].split()] if os.environ.get("SEEDS") else row.seeds:
            if seed in got.get(row.name, {}) and os.environ.get("FRESH") != "1":
                continue
            say(f"{row.name}, seed {seed}")
            start = cpu()
            try:
                figures = row.function(row, seed)
            except Exception as error:  # of whatever kind: the other rows are measured
                say(f"{row.name}, seed {seed} failed: {type(error).__name__} {error}")
                failed = True
                continue
            keep(row, seed, cpu() - start, figures)
            page()
    missed = page()
    say("wrote", PAGE)
    for row, goal, value in missed:
        say(f"missed: {row.name}: {goal.text}: {number(value)}, must be {goal.must}")
    sys.exit(failed or bool(missed))


main()
