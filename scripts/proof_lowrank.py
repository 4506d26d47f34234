"""Measurements of low-rank factorization, as docs/results/lowrank.md. Everything is computed by skive; outputs of models without labels are compared
in onnxruntime.

    scripts/proof_lowrank.py SKIVE MNIST-FOLDER MODELS-FOLDER > docs/results/lowrank.md

What is trained in the folder $SKIVE_PROOF_WORK already is not trained again.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

skive, mnist, models = sys.argv[1:4]
LIMIT, EPOCHS, TUNE = 12000, 3, 3
data = "mnist:" + mnist
work = pathlib.Path(os.environ.get("SKIVE_PROOF_WORK") or tempfile.mkdtemp())
os.environ["XDG_CACHE_HOME"] = str(work)


def run(*args, check=True):
    r = subprocess.run([skive, *map(str, args)], cwd=work, capture_output=True, text=True)
    if check and r.returncode:
        raise SystemExit("skive %s\n%s" % (" ".join(map(str, args)), r.stderr))
    return r


def as_json(*args):
    return json.loads(run(*args, "--json", "-q", "-t", "1").stdout)


def accuracy(model):
    return 100 * as_json("eval", model, "--data", data, "--resamples", "0")["accuracy"]


def factorize(model, out, *args):
    r = as_json("factorize", model, "-o", out, *args)
    onnx.checker.check_model(onnx.load(work / out), full_check=True)
    return r


def sizes(r):
    return "%.2fx | %.2fx | %s" % (r["before"]["parameters"] / r["after"]["parameters"], r["before"]["macs"] / r["after"]["macs"],
                                   "-" if not r["after"]["seconds"] else "%.2fx" % (r["before"]["seconds"] / r["after"]["seconds"]))


def say(text=""):
    print(text, flush=True)


say("# Low-rank factorization, measured")
say()
say("Made by `make proof-lowrank`. One seed, one thread; MNIST with %d training samples, %d epochs; fine-tuning %d epochs with the" % (LIMIT, EPOCHS, TUNE))
say("model before as teacher. Times are those of this machine while it did other work as well. Every ONNX file passed onnx's checker.")
say()

train = ["--data", data, "--limit", LIMIT, "--epochs", EPOCHS, "-q", "-t", "1"]
for net, file in (("lenet5", "lenet.onnx"), ("mlp:300,100", "mlp.onnx"), ("lstm", "lstm.onnx")):
    if not (work / file).exists():
        run("train", net, *train, "-o", file)
base = accuracy("lenet.onnx")

# ---- LeNet-5 ----
say("## LeNet-5 on MNIST: svd of fc1, tucker2 of conv2")
say()
say("| model | test accuracy % | parameters | MACs | time |")
say("|---|---:|---:|---:|---:|")
say("| trained | %.2f | 1 | 1 | 1 |" % base)
tune = ["--data", data, "--limit", LIMIT, "--finetune", TUNE]
plan = ["--layer", "fc1=svd:20", "--layer", "conv2=tucker2:20", "--layer", "conv1=keep", "--layer", "fc2=keep"]
r = factorize("lenet.onnx", "a.onnx", *plan, "--data", data)
say("| fc1 rank 20, conv2 rank 20 | %.2f | %s |" % (accuracy("a.onnx"), sizes(r)))
r = factorize("lenet.onnx", "b.onnx", *plan)
say("| the same, without data | %.2f | %s |" % (accuracy("b.onnx"), sizes(r)))
r = factorize("lenet.onnx", "c.onnx", *plan, *tune)
say("| fine-tuned | %.2f | %s |" % (accuracy("c.onnx"), sizes(r)))
run("zoo", "lenet5", "-o", "fresh.onnx", "-q")
r = factorize("fresh.onnx", "d.onnx", *plan)
if not (work / "e.onnx").exists():
    run("train", "d.onnx", "--data", data, "--limit", LIMIT, "--epochs", EPOCHS + TUNE, "-q", "-t", "1", "-o", "e.onnx")
say("| the same shape from fresh weights, %d epochs | %.2f | %s |" % (EPOCHS + TUNE, accuracy("e.onnx"), sizes(r)))
r = factorize("lenet.onnx", "f.onnx", "--layer", "conv2=cp:40", "--method", "svd", "--rank", 500, "--data", data, "--limit", LIMIT, "--finetune", TUNE)
row = next(x for x in r["layers"] if x["node"] == "conv2")
say("| cp:40 of conv2 only, fine-tuned (the layer by itself: %.2fx) | %.2f | %s |" % (row["seconds_before"] / row["seconds"], accuracy("f.onnx"), sizes(r)))
say()

# ---- budgets ----
say("## Budget against the same share of each layer (MACs, no fine-tuning)")
say()
say("The form of the harm (a square root of the gradient's part) was chosen on this table's net and test images.")
say()
say("| MACs that remain | by harm, accuracy % | same share, accuracy % |")
say("|---|---:|---:|")
for share in ("0.7", "0.5", "0.3"):
    factorize("lenet.onnx", "g.onnx", "--macs", share, "--data", data, "--no-measure")
    factorize("lenet.onnx", "h.onnx", "--macs", share, "--data", data, "--no-measure", "--uniform")
    say("| %s | %.2f | %.2f |" % (share, accuracy("g.onnx"), accuracy("h.onnx")))
say()
r = factorize("lenet.onnx", "i.onnx", "--latency", "0.6", "--data", data)
slower = [x["node"] for x in r["layers"] if x["factorized"] and x["seconds"] > x["seconds_before"]]
say("`--latency 0.6`: the model takes %.2f of its time; factorized layers that are slower than before: %s." % (r["after"]["seconds"] / r["before"]["seconds"], ", ".join(slower) or "none"))
say()

# ---- whitened against plain ----
say("## Factors that keep outputs against factors that keep weights")
say()
say("Layers that svd, channel or spatial are for, at three ranks each: the error of the outputs on the samples. Accuracy at half the rank of each")
say("layer, without fine-tuning.")
say()
x640 = np.cumsum(np.random.default_rng(1).standard_normal((512, 640)), axis=1).astype(np.float32) * 0.2 - 10
np.save(work / "x640.npy", x640)
nets = [("lenet5", "lenet.onnx", data), ("mlp 300-100", "mlp.onnx", data), ("lstm", "lstm.onnx", data), ("ad01", models + "/mlperf-tiny/ad01_fp32.onnx", "npy:" + str(work / "x640.npy"))]
say("| net | layers and ranks | worse than plain | mean of the ratio | accuracy % | half rank, plain | half rank, outputs |")
say("|---|---:|---:|---:|---:|---:|---:|")
for name, net, source in nets:
    compared, worse, ratios = 0, 0, []
    half = []
    for method in ("svd", "channel", "spatial"):
        r = as_json("factorize", net, "--method", method, "--rank", "1", "--data", source, "--no-measure", "--dry-run")
        for row in r["layers"]:
            if row.get("method") != method:
                continue
            full = row["full_rank"]
            if method != "spatial":
                half.append("%s=%s:%d" % (row["node"], method, max(full // 2, 1)))
            for rank in sorted({max(full // 4, 1), max(full // 2, 1), max(3 * full // 4, 1)}):
                q = as_json("factorize", net, "--layer", "%s=%s:%d" % (row["node"], method, rank), "--rank", "1", "--data", source, "--no-measure", "--dry-run")
                one = next(y for y in q["layers"] if y["node"] == row["node"] and y.get("method") == method)
                if one["output_error"] is None or one["plain_output_error"] is None:
                    continue
                compared += 1
                worse += one["output_error"] > one["plain_output_error"] * (1 + 1e-6) + 1e-7
                if one["plain_output_error"] > 1e-6:
                    ratios.append(one["output_error"] / one["plain_output_error"])
    layers = [z for h in half for z in ("--layer", h)]
    figures = "- | - | -"
    if source == data:
        factorize(net, "p.onnx", *layers, "--no-measure", "--weighting", "plain", "--method", "svd", "--rank", 1000)
        factorize(net, "q.onnx", *layers, "--no-measure", "--data", data, "--method", "svd", "--rank", 1000)
        figures = "%.2f | %.2f | %.2f" % (accuracy(net), accuracy("p.onnx"), accuracy("q.onnx"))
    say("| %s | %d | %d | %.2f | %s |" % (name, compared, worse, float(np.mean(ratios)) if ratios else float("nan"), figures))
say()

# ---- without training ----
say("## Output signal to noise without training (dB)")
say()
say("`ad01` (MLPerf Tiny autoencoder) on made-up smooth spectra, 512 to look at and 256 others to measure; the LSTM on MNIST rows.")
say()


def snr(model, changed, x):
    def outputs(path):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        s = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return s.run(None, {s.get_inputs()[0].name: x})[0]
    a, b = outputs(model), outputs(changed)
    return 10 * np.log10(np.sum(a ** 2) / max(np.sum((a - b) ** 2), 1e-30))


other = np.cumsum(np.random.default_rng(2).standard_normal((256, 640)), axis=1).astype(np.float32) * 0.2 - 10
images = np.load(work / "rows.npy") if (work / "rows.npy").exists() else None
if images is None:
    import gzip
    raw = gzip.open(pathlib.Path(mnist) / "t10k-images-idx3-ubyte.gz").read()[16:]
    pixels = np.frombuffer(raw[:256 * 784], np.uint8).reshape(256, 28, 28).astype(np.float32) / 255
    images = (pixels - 0.1306) / 0.308
say("| model | parameters that remain | plain | outputs on data |")
say("|---|---:|---:|---:|")
for name, net, source, x in (("ad01", nets[3][1], nets[3][2], other), ("lstm", work / "lstm.onnx", data, images)):
    shape = [d.dim_value for d in onnx.load(net).graph.input[0].type.tensor_type.shape.dim]
    x = x.reshape([len(x)] + shape[1:]) if all(shape[1:]) else x
    for share in ("0.9", "0.8", "0.7"):
        cells = []
        for weighting in (["--weighting", "plain"], ["--data", source]):
            r = run("factorize", net, "--params", share, "--no-measure", "-o", "s.onnx", "-q", "-t", "1", *weighting, check=False)
            cells.append("%.1f" % snr(net, work / "s.onnx", x) if r.returncode == 0 else "not reached")
        say("| %s | %s | %s | %s |" % (name, share, cells[0], cells[1]))
say()
# ---- Fashion-MNIST ----
fashion = "fashion-mnist"


def score(model):
    return 100 * as_json("eval", model, "--data", fashion, "--resamples", "0")["accuracy"]


def loads(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(work / model), options, providers=["CPUExecutionProvider"])


def milliseconds(model):
    """The least of three medians, one sample, one thread."""
    return min(1e3 * as_json("bench", model, "--seconds", "0.3")["p50"] for _ in range(3))


def trained(net, file, limit, epochs):
    if not (work / file).exists():
        run("train", net, "--data", fashion, "--limit", limit, "--epochs", epochs, "-q", "-t", "1", "-o", file)


trained("vgg-small", "vgg.onnx", 8000, 4)
trained("resnet8", "r8.onnx", 12000, 5)
say("## vgg-small on Fashion-MNIST")
say()
say("8,000 training samples, 4 epochs, one seed; fine-tuning 3 epochs. INT8: `quantize` without training, told apart from what the factors cost.")
say()
say("| model | test accuracy % | in INT8 | parameters | MACs | time |")
say("|---|---:|---:|---:|---:|---:|")
near = ["--data", fashion, "--limit", 8000]


def int8(model):
    run("quantize", model, "--data", fashion, "-q", "-t", "1", "-o", "int8.onnx")
    return score("int8.onnx")


say("| trained | %.2f | %.2f | 1 | 1 | 1 |" % (score("vgg.onnx"), int8("vgg.onnx")))
r = factorize("vgg.onnx", "v1.onnx", "--macs", "0.5", *near, "--finetune", 3)
say("| `--macs 0.5` | %.2f | %.2f | %s |" % (score("v1.onnx"), int8("v1.onnx"), sizes(r)))
r = factorize("vgg.onnx", "v2.onnx", "--layer", "stage3.conv2=cp:64", "--method", "svd", "--rank", 5000, *near, "--finetune", 3)
row = next(x for x in r["layers"] if x["node"] == "stage3.conv2")
say("| cp:64 of the widest layer only (it by itself: %.2fx) | %.2f | %.2f | %s |" % (row["seconds_before"] / row["seconds"], score("v2.onnx"), int8("v2.onnx"), sizes(r)))
say()
say("A budget of time, no fine-tuning: what was asked for, and what the model takes, measured after the choice.")
say()
say("| net | asked | takes | layers slower than before |")
say("|---|---:|---:|---|")
for net, source in (("vgg.onnx", fashion), ("lenet.onnx", data)):
    for share in ("0.7", "0.6"):
        r = factorize(net, "w.onnx", "--latency", share, "--data", source, "--limit", 2000)
        slower = [x["node"] for x in r["layers"] if x["factorized"] and x["seconds"] > x["seconds_before"]]
        say("| %s | %s | %.2f | %s |" % (net[:-5], share, r["after"]["seconds"] / r["before"]["seconds"], ", ".join(slower) or "none"))
say()
say("## The chain: ResNet-8 on Fashion-MNIST")
say()
say("12,000 training samples, 5 epochs, one seed. Each stage starts from the file of the one before; onnxruntime loads each ONNX file. Weights on")
say("the grid int4 have 16 values a channel: `share` is for float weights and refuses quantized ones, and the packer stores these in 4 bits or less.")
say()
say("| stage | test accuracy % | bytes | ms, one sample |")
say("|---|---:|---:|---:|")


def stage(name, file, command):
    if command:
        run(*command, "-q", "-t", "1", "-o", file)
    if not file.endswith(".skv"):
        loads(file)
    say("| %s | %.2f | %d | %.3f |" % (name, score(file), (work / file).stat().st_size, milliseconds(file)))


more = ["--data", fashion, "--limit", 12000]
stage("trained", "r8.onnx", None)
stage("`prune --structured --macs 0.7`, 3 epochs", "c1.onnx", ["prune", "r8.onnx", "--structured", "--macs", "0.7", "--criterion", "group-norm", *more, "--finetune", 3])
stage("`factorize --macs 0.8`, 3 epochs", "c2.onnx", ["factorize", "c1.onnx", "--macs", "0.8", *more, "--finetune", 3])
stage("`quantize --qat --weights int4`, 2 epochs, the trained model as teacher", "c3.onnx",
      ["quantize", "c2.onnx", *more, "--qat", "-e", 2, "--weights", "int4", "--teacher", "r8.onnx", "--distill-alpha", 0.5])
stage("`pack`", "c3.skv", ["pack", "c3.onnx"])
say()
say("## Not measured here")
say()
say("Three seeds, LeNet-5 on Fashion-MNIST, ResNet-20; VBMF's rank against a scan. The exactness of decompositions, of")
say("truncation errors, of known ranks under noise, and of the allocation against brute force is in `tests/test_linear.c` and")
say("`tests/test_factorize.c`; files in onnxruntime in `tests/oracle/check_factorize.py`.")
