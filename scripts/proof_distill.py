"""The scenes of scripts/proof_distill.sh: students with and without teachers, their figures on test sets.

    proof_distill.py SKIVE FOLDER

A scene trains its networks, each kept in FOLDER under a name made of its command, so that one with the same command is
not trained again. Its rows replace those of the same setting in docs/results/distillation.tsv. The page is made of all
rows that are there; goals that were missed are printed at the end, and the exit status is 1 then.
"""
import fnmatch
import hashlib
import json
import math
import os
import resource
import shlex
import statistics
import subprocess
import sys

import numpy as np
import onnx

import proof_sets

SKIVE, OUT = sys.argv[1], sys.argv[2]
FULL = os.environ.get("FULL") == "1"
SEEDS = tuple(map(int, os.environ.get("SEEDS", "1 2 3" if FULL else "1").split()))
THREADS = os.environ.get("THREADS")
ROWS, PAGE = "docs/results/distillation.tsv", "docs/results/distillation.md"
MNIST, FASHION = "mnist:" + os.environ["MNIST"], "fashion-mnist"
FIELDS = "setting scene label seeds errors deviation n difference low high must verdict seconds command".split()


def say(*what):
    print("proof_distill:", *what, file=sys.stderr, flush=True)


def pick(small, full):
    return full if FULL else small


# ---- networks and figures ----

class Net:
    """One network for each seed."""

    def __init__(self, files, command, seconds):
        self.files, self.command, self.seconds = files, command, seconds


def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def call(command):
    threads = ["-t", THREADS] if THREADS and "-t" not in command else []
    done = subprocess.run([SKIVE] + command + threads, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(" ".join([SKIVE] + command) + ": " + done.stderr.strip()[-400:])
    return done.stdout


def key(command):
    return hashlib.sha256("\0".join(command).encode()).hexdigest()[:12]


def made(name, command, extra=""):
    """The file that the command writes, and the processor seconds it took; `extra`: a part of its outputs' names."""
    path = os.path.join(OUT, f"distill-{name}-{key(command)}.onnx")
    told = path[:-5] + ".json"
    if not os.path.exists(told):
        say(name + ":", "skive", " ".join(command))
        start = cpu()
        text = call(command + ["-q", "--json", "-o", path])
        report = json.loads(text[text.index("{"):])
        with open(told + ".part", "w") as f:
            json.dump({"seconds": cpu() - start, "report": report}, f)
        os.replace(told + ".part", told)
    with open(told) as f:
        return path[:-5] + extra + ".onnx", json.load(f)


def net(name, *words, extra="", seeds=SEEDS):
    """Words of a command; a Net among them is its file of the same seed, and {} in a word the seed."""
    files, seconds, shown = [], [], None
    for seed in seeds:
        command = [w.files[min(seed, len(w.files)) - 1] if isinstance(w, Net) else str(w) for w in words]
        command += ["--seed", str(seed)]
        path, told = made(f"{name}-{seed}", command, extra)
        files.append(path)
        seconds.append(told["seconds"])
        if shown is None:
            shown = " ".join(shlex.quote(short(w)) for w in command)
    out = Net(files, "skive " + shown, statistics.mean(seconds))
    out.reports = [made(f"{name}-{s}", [w.files[min(s, len(w.files)) - 1] if isinstance(w, Net) else str(w)
                                        for w in words] + ["--seed", str(s)], extra)[1]["report"] for s in seeds]
    return out


def short(word):
    """A command as one may type it: without this machine's folders and the hash in names."""
    for folder, name in ((OUT + "/", ""), (os.environ["MNIST"], "MNIST"), (os.environ["CIFAR10"], "CIFAR10")):
        word = word.replace(folder, name)
    if word.startswith("distill-") and word.endswith(".onnx"):
        word = "-".join(word[8:].split("-")[:-1]) + ".onnx"
    return word


def from_training(row, seeds=SEEDS):
    """A network of the proof of training, which that makes if it is not there."""
    conf = "scripts/proof_train.conf"
    line = next(l for l in open(conf) if l.startswith(f"row {row} |"))
    sum_ = subprocess.run(["cksum"], input=line, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0]
    files = [os.path.join(OUT, f"{row}-{s}-{sum_}.onnx") for s in seeds]
    if not all(os.path.exists(f) for f in files):
        say(row, "by scripts/proof_train.sh")
        subprocess.run(["scripts/proof_train.sh", SKIVE, OUT], env=dict(os.environ, ONLY=row), check=True)
    files = [f if os.path.exists(f) else files[0] for f in files]
    return Net(files, f"make proof-train, row {row}", 0)


def kept(path, what, command):
    """The JSON of a command about a file, kept beside it."""
    told = f"{path}.{what}-{key(command)}.json"
    if not os.path.exists(told) or os.path.getmtime(told) < os.path.getmtime(path):
        text = call(command)
        with open(told + ".part", "w") as f:
            f.write(text[text.index("{"):])
        os.replace(told + ".part", told)
    with open(told) as f:
        return json.load(f)


def figures(path, data):
    report = kept(path, "eval", ["eval", path, "--data", data, "--json", "-q"])
    return report["accuracy"], report["n"]


def versus(base, path, data):
    command = ["compare", base, path, "--data", data, "--seconds", "0.01", "--resamples", "0", "--json", "-q"]
    to = kept(path, "compare", command)["models"][1]["to_first"]
    return [100 * to[k] for k in ("difference", "low", "high")]


# ---- rows ----

class Scene:
    def __init__(self, title, text):
        self.name, self.title, self.text, self.rows, self.data = "", title, text, [], None

    def row(self, label, n, base=None, data=None, values=None):
        """Errors over the seeds, and the difference to `base` with its paired interval. values: errors of each seed and
        the number of samples, where the commands cannot measure them."""
        data = data or self.data
        if values:
            errors, count = values
        else:
            got = [figures(f, data) for f in n.files]
            errors, count = [round((1 - a) * c) for a, c in got], got[0][1]
        difference = low = high = float("nan")
        if base and not values:
            all_ = [versus(base.files[min(i, len(base.files) - 1)], f, data) for i, f in enumerate(n.files)]
            difference = statistics.mean(d[0] for d in all_)
            half = math.sqrt(sum(((d[2] - d[1]) / 2) ** 2 for d in all_)) / len(all_)
            low, high = difference - half, difference + half
        r = dict(setting="full" if FULL else "small", scene="", label=label, seeds=len(errors),
                 errors=statistics.mean(errors), deviation=statistics.stdev(errors) if len(errors) > 1 else 0, n=count,
                 difference=difference, low=low, high=high, must="", verdict="", seconds=n.seconds, command=n.command)
        self.rows.append(r)
        say(f"{label}: {r['errors']:g} errors of {count}")
        return r

    def must(self, row, text, met, full_only=False):
        """A goal; those that are absolute are of the full setting."""
        row["must"] = "; ".join(t for t in (row["must"], text) if t)
        if full_only and not FULL:
            return
        now = "met" if met else "missed"
        row["verdict"] = "missed" if "missed" in (row["verdict"], now) else now


    def value(self, label, value, text, met, command):
        """A figure that is no number of errors."""
        r = dict.fromkeys(FIELDS, "") | dict(setting="full" if FULL else "small", label=label, seeds=1, errors=value,
                                             deviation=0, n=0, difference=float("nan"), seconds=0, command=command)
        self.rows.append(r)
        say(f"{label}: {value:g}")
        if text:
            self.must(r, text, met)
        return r


SCENES = []


def scene(function):
    SCENES.append(function)
    return function


def gain(row, base):
    """In points of accuracy."""
    return 100 * (base["errors"] - row["errors"]) / row["n"]


# ---- sets that are made ----

def folder(name):
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    return path


def idx(which, name):
    return proof_sets.read_idx(os.environ["MNIST"] if which == "mnist" else proof_sets.FASHION, name)


def without_threes():
    """Digits without the threes to learn from; test digits as they are."""
    path = os.path.join(folder("distill-sets"), "without-3.npz")
    if not os.path.exists(path):
        x, y = idx("mnist", "train-images-idx3-ubyte"), idx("mnist", "train-labels-idx1-ubyte").astype(np.int64)
        tx, ty = idx("mnist", "t10k-images-idx3-ubyte"), idx("mnist", "t10k-labels-idx1-ubyte").astype(np.int64)
        keep = y != 3
        np.savez(path, image_train=x[keep][:, None], digit_train=y[keep], image_test=tx[:, None], digit_test=ty)
    return f"npz:{path},inputs=image,labels=digit"


def garments(labels):
    """Fashion-MNIST with two targets: the kind (10) and the group (4) of a garment."""
    path = os.path.join(folder("distill-sets"), "garments.npz")
    if not os.path.exists(path):
        group = np.array([0, 1, 0, 0, 0, 2, 0, 2, 3, 2])  # tops, trousers, shoes, bags
        parts = {}
        for part, file in (("train", "train"), ("test", "t10k")):
            x, y = idx("fashion", file + "-images-idx3-ubyte"), idx("fashion", file + "-labels-idx1-ubyte").astype(np.int64)
            parts |= {f"image_{part}": x[:, None], f"kind_{part}": y, f"group_{part}": group[y]}
        np.savez(path, **parts)
    return f"npz:{path},inputs=image,labels={labels}"


def cifar():
    """The folder of CIFAR-10 as JPEG files, unpacked if need be."""
    source = os.environ["CIFAR10"]
    if os.path.isdir(source):
        return "folder:" + source
    if not os.path.exists(source):
        return None
    target = os.path.join(OUT, "cifar10")
    if not os.path.isdir(target):
        os.makedirs(target + ".part", exist_ok=True)
        subprocess.run(["tar", "-xJf", source, "-C", target + ".part"], check=True)
        os.rename(target + ".part", target)
    for at, folders, _ in os.walk(target):
        if "train" in folders:
            return "folder:" + at
    return None


def text_set():
    made_ = os.path.join(OUT, "fortunes")
    if not os.path.exists(os.path.join(made_, "train.csv")):
        if not os.path.isdir("/usr/share/games/fortunes"):
            return None
        os.makedirs(made_, exist_ok=True)
        proof_sets.fortunes(made_, None)
    return (f"text:{made_}/train.csv,column=text,label=label,test={made_}/test.csv,tokens=word:size=8000\\,lower,"
            "length=64")


def scores(path, x):
    """What a model answers to images [n][1][28][28] of bytes, prepared as its metadata say."""
    meta = {m.key: m.value for m in onnx.load(path).metadata_props}
    mean, std = (meta.get("skive.input." + k) for k in ("mean", "std"))
    x = x.astype(np.float32) / np.float32(255)
    if mean and mean != "none":
        x = (x - np.float32(mean)) / np.float32(std)
    at = os.path.join(folder("distill-sets"), f"x-{os.getpid()}.npy")
    to = at[:-4] + "-out.npy"
    np.save(at, x)
    call(["run", path, "--input", at, "-o", to, "-q"])
    out = np.load(to)
    os.remove(at)
    os.remove(to)
    return out


# ---- scenes ----

def digit_teacher():
    if FULL:
        return from_training("mnist-lenet5")
    return net("conv", "train", "lenet5", "--data", MNIST, "--limit", 6000, "--epochs", 3, "--augment", "crop:2", "--lr", 0.02,
               "-b", 64)


@scene
def digits():
    s = Scene("A multilayer perceptron from a convolutional teacher, MNIST",
              "784-800-800-10 without regularisation; the teacher is a LeNet-5 trained with augmentation (Hinton et al. "
              "2015: 146 errors without and 74 with a teacher). The control has hard labels and the teacher's "
              "augmentation.")
    s.data = MNIST
    how = ["--data", MNIST, "--limit", pick(3000, 60000), "--epochs", pick(5, 40), "--lr", 0.02, "-b", 64]
    conv = digit_teacher()
    plain = net("mlp-plain", "train", "mlp:800,800", *how)
    jittered = net("mlp-augmented", "train", "mlp:800,800", *how, "--augment", "crop:2")
    teach = ["distill", "--teacher", conv, "--student", "mlp:800,800", *how, "-T", 8, "--alpha", 0.9]
    taught = net("mlp-kd", *teach)
    both = net("mlp-kd-augmented", *teach, "--augment", "crop:2")
    t = s.row("LeNet-5, the teacher", conv, plain)
    s.must(t, "<= 80 errors", t["errors"] <= 80, True)
    p = s.row("plain", plain)
    s.must(p, "130 to 165 errors", 130 <= p["errors"] <= 165, True)
    s.row("plain, with augmentation", jittered, plain)
    k = s.row("soft labels, T 8, alpha 0.9", taught, plain)
    s.must(k, "<= 115 errors", k["errors"] <= 115, True)
    s.must(k, ">= 50 % of the gap", p["errors"] - k["errors"] >= 0.5 * (p["errors"] - t["errors"]))
    s.row("the same, with augmentation", both, plain)
    return s


@scene
def left_out():
    s = Scene("Digit 3 left out of the transfer set, MNIST",
              "The student of the scene above sees no three, and learns from soft labels alone (T 8). The bias of its "
              "score for the three is raised by the number that is best on 5,000 training digits that neither network is "
              "measured on (Hinton et al. 2015: 98.6 % of the threes right). Errors are of the 1,010 threes.")
    data = without_threes()
    conv = digit_teacher()
    taught = net("mlp-no-3", "distill", "--teacher", conv, "--student", "mlp:800,800", "--data", data, "--limit",
                 pick(3000, 60000), "--epochs", pick(8, 40), "--lr", 0.02, "-b", 64, "-T", 8, "--alpha", 1)
    x, y = idx("mnist", "train-images-idx3-ubyte")[-5000:, None], idx("mnist", "train-labels-idx1-ubyte")[-5000:]
    tx, ty = idx("mnist", "t10k-images-idx3-ubyte")[:, None], idx("mnist", "t10k-labels-idx1-ubyte")
    raw, mended, biases = [], [], []
    for f in taught.files:
        z, tz = scores(f, x).astype(np.float64), scores(f, tx).astype(np.float64)
        def right(z, y, b):
            return ((z + np.eye(10)[3] * b).argmax(1) == y)
        biases.append(max(np.arange(0, 12, 0.1), key=lambda b: right(z, y, b).sum()))
        raw.append(int((~right(tz, ty, 0))[ty == 3].sum()))
        mended.append(int((~right(tz, ty, biases[-1]))[ty == 3].sum()))
    s.row("as it learnt", taught, values=(raw, int((ty == 3).sum())))
    r = s.row(f"bias raised by {statistics.mean(biases):.1f}", taught, values=(mended, int((ty == 3).sum())))
    s.must(r, ">= 95 % of the threes right", r["errors"] <= 0.05 * r["n"])
    return s


@scene
def thin():
    s = Scene("A thin deep student, MNIST",
              "ResNet-20 with a third of the channels (about 30,000 parameters) from LeNet-5 (430,000): a hint between "
              "the middle stages beside soft labels, after FitNets.")
    s.data = MNIST
    conv = digit_teacher()
    how = ["--data", MNIST, "--limit", pick(2000, 60000), "--epochs", pick(4, 15), "--lr", 0.05, "-b", 64]
    plain = net("thin-plain", "train", "resnet20:0.33", *how)
    teach = ["distill", "--teacher", conv, "--student", "resnet20:0.33", *how, "-T", 4, "--alpha", 0.7]
    soft, hint = net("thin-kd", *teach), net("thin-hint", *teach, "--term", "hint")
    t = s.row("LeNet-5, the teacher", conv, plain)
    s.must(t, "<= 60 errors", t["errors"] <= 60, True)
    s.row("plain", plain)
    k = s.row("soft labels", soft, plain)
    s.must(k, "<= 80 errors", k["errors"] <= 80, True)
    h = s.row("hint and soft labels", hint, plain)
    s.must(h, "<= soft labels alone", h["errors"] <= k["errors"])
    return s


FASHION_8 = ["--data", FASHION, "--limit", pick(2500, 60000), "--epochs", pick(3, 20), "--lr", 0.05, "-b", 64]


def fashion_teacher(seeds=SEEDS):
    return net("fashion-r20", "train", "resnet20", "--data", FASHION, "--limit", pick(6000, 60000), "--epochs", pick(3, 20),
               "--lr", 0.1, "-b", 64, seeds=seeds)


def fashion_plain():
    return net("fashion-r8", "train", "resnet8", *FASHION_8)


@scene
def terms():
    s = Scene("ResNet-8 from ResNet-20, Fashion-MNIST",
              "Terms other than soft labels stand beside the labels alone (alpha 0), with their published weights.")
    s.data = FASHION
    teacher, plain = fashion_teacher(), fashion_plain()
    teach = ["distill", "--teacher", teacher, "--student", "resnet8", *FASHION_8]
    s.row("ResNet-20, the teacher", teacher, plain)
    s.row("plain", plain)
    s.row("soft labels, T 4, alpha 0.7", net("fashion-kd", *teach, "-T", 4, "--alpha", 0.7), plain)
    for label, term in (("attention transfer", "attention"), ("hint", "hint"), ("similarity", "similarity"),
                        ("contrastive", "contrastive"), ("contrastive in the batch", "contrastive:negatives=0")):
        name = "fashion-" + term.replace(":", "-").replace("=", "-")
        s.row(label, net(name, *teach, "--alpha", 0, "--term", term), plain)
        if term.startswith("contrastive"):
            s.row(label + " and soft labels", net(name + "-kd", *teach, "-T", 4, "--alpha", 0.7, "--term", term), plain)
    return s


@scene
def cifar_terms():
    s = Scene("ResNet-8 from one ResNet-20, CIFAR-10 (JPEG)",
              "Three seeds for plain, soft labels and contrastive, one for the others; the same augmentation everywhere "
              "in the full setting, none in the small one.")
    s.data = cifar()
    if not s.data:
        say("cifar-terms: CIFAR-10 is not here")
        return None
    jitter = pick([], ["--augment", "crop:4,flip"])
    if FULL:
        trained = from_training("cifar10-resnet20")
        teacher = Net(trained.files[:1], trained.command, 0)
    else:
        teacher = net("cifar-r20", "train", "resnet20", "--data", s.data, "--limit", 4000, "--epochs", 4, "--lr", 0.1, "-b", 64)
    how = ["--data", s.data, *(pick(["--limit", 2000], [])), "--epochs", pick(3, 20), "--lr", pick(0.05, 0.1), "-b", 64, *jitter]
    plain = net("cifar-r8", "train", "resnet8", *how)
    teach = ["distill", "--teacher", teacher, "--student", "resnet8", *how]
    s.row("ResNet-20, the teacher", teacher, plain)
    p = s.row("plain", plain)
    soft = net("cifar-kd", *teach, "-T", 4, "--alpha", 0.7)
    k = s.row("soft labels, T 4, alpha 0.7", soft, plain)
    s.must(k, ">= plain + 0.3 points", gain(k, p) >= 0.3)
    term = pick("contrastive:negatives=0", "contrastive")
    s.row("contrastive", net("cifar-crd", *teach, "--alpha", 0, "--term", term), plain)
    b = s.row("contrastive and soft labels, against soft labels",
              net("cifar-crd-kd", *teach, "-T", 4, "--alpha", 0.7, "--term", term), soft)
    s.must(b, ">= soft labels", b["errors"] <= k["errors"])
    for label, option in (("attention transfer", "attention"), ("hint", "hint"), ("similarity", "similarity"),
                          ("relation", "relation"), ("dkd", "dkd")):
        s.row(label, net("cifar-" + option, *teach, "--alpha", 0, "--term", option, seeds=(1,)), plain)
    return s


@scene
def several():
    s = Scene("Several teachers, ResNet-8, Fashion-MNIST",
              "Three ResNet-20 of other seeds, combined as the mean of their probabilities; against the student of the one "
              "among them that is best on the test set.")
    s.data = FASHION
    singles = [net("fashion-r20", "train", "resnet20", "--data", FASHION, "--limit", pick(6000, 60000), "--epochs",
                   pick(3, 20), "--lr", 0.1, "-b", 64, seeds=(seed,)) for seed in (1, 2, 3)[:pick(2, 3)]]
    best = max(singles, key=lambda n: figures(n.files[0], FASHION)[0])
    teach = ["distill", "--student", "resnet8", *FASHION_8, "-T", 4, "--alpha", 0.7]
    one = net("fashion-best-teacher", *teach, "--teacher", best)
    many = net("fashion-several", *teach, *[w for n in singles for w in ("--teacher", n)])
    s.row("the best teacher", best)
    a = s.row("student of the best", one)
    b = s.row(f"student of {len(singles)}", many, one)
    s.must(b, ">= that of the best", b["errors"] <= a["errors"])
    return s


@scene
def born_again():
    s = Scene("Born again, Fashion-MNIST",
              pick("A perceptron of 100 hidden units, 1,000 samples, 20 epochs, three seeds", "ResNet-8") +
              "; each generation learns from the one before by the defaults of --self.")
    s.data = FASHION
    network, seeds = pick("mlp:100", "resnet8"), (1, 2, 3)
    how = ["--data", FASHION, "--limit", pick(1000, 60000), "--epochs", 20, "--lr", pick(0.02, 0.05), "-b", 64]
    first = net("again-0", "train", network, *how, seeds=seeds)
    f = s.row("the first, by labels", first)
    # A seed of a run of its own for each generation, as --self has it.
    other = net("again-labels", "train", network, *how, seeds=tuple(seed + 1 for seed in seeds))
    s.row("another start, by labels", other, first)
    again = net("again", "distill", "--self", pick(2, 3), "--student", network, "--teacher", first, *how, seeds=seeds)
    r = s.row("the best generation", again, first)
    s.must(r, "> the first", r["errors"] < f["errors"])
    return s


@scene
def exits():
    s = Scene("Early exits, Fashion-MNIST",
              pick("LeNet-5 of half its channels", "ResNet-8") + "; the last exit against the same network without exits. How many samples may leave early, and their accuracy, "
              "is of validation samples on which the threshold was not found.")
    s.data = FASHION
    network = pick("lenet5:0.5", "resnet8")
    how = ["--data", FASHION, "--limit", pick(2500, 60000), "--epochs", pick(6, 20), "--lr", pick(0.02, 0.05), "-b", 64]
    plain = net("exits-plain", "train", network, *how)
    with_ = net("exits", "distill", "--exits", "auto", "--student", network, *how)
    p = s.row("plain", plain)
    r = s.row("the last exit", with_, plain)
    s.must(r, ">= plain", r["errors"] <= p["errors"])
    e = [report["exits"] for report in with_.reports]
    mean = lambda k: 100 * statistics.mean(x[k] for x in e)
    faster = statistics.mean(x["exits"][-1]["milliseconds"] / x["milliseconds"] for x in e)
    s.must(r, ">= 50 % leave early at equal accuracy", mean("early") >= 50 and mean("accuracy") >= mean("last"))
    s.text += (f" Here {mean('early'):.1f} % leave early, with {mean('accuracy'):.2f} % right against {mean('last'):.2f} % of the "
               f"last exit, {faster:.2f} times as fast.")
    return s


@scene
def few_labels():
    data = cifar() if FULL else FASHION
    name = "CIFAR-10 (JPEG)" if FULL else "Fashion-MNIST"
    s = Scene(f"Few labels, {name}",
              "With 10 % of the labels, and the other samples without theirs; the gap is between those labels alone and all "
              "labels with soft labels." if FULL else
              "LeNet-5 with 500 labels, and 54,500 samples without; the gap is between those labels alone and all labels with "
              "soft labels. One epoch over all samples, or 20 over the labelled ones.")
    if not data:
        say("few-labels: CIFAR-10 is not here")
        return None
    s.data = data
    student = pick("lenet5", "resnet8")
    teacher = from_training("cifar10-resnet20") if FULL else fashion_teacher()
    common = ["--data", data, "--lr", pick(0.005, 0.1), "-b", 64, *pick([], ["--augment", "crop:4,flip"])]
    labelled = [*common, "--limit", pick(500, 4600)]
    plain = net("few-plain", "train", student, *labelled, "--epochs", pick(20, 100))
    soft = net("few-kd", "distill", "--teacher", teacher, "--student", student, *labelled, "--epochs", pick(20, 100))
    more = net("few-more", "distill", "--teacher", teacher, "--student", student, *labelled, "--unlabelled", data, "--epochs", pick(1, 20))
    all_ = net("few-all", "distill", "--teacher", teacher, "--student", student, *common, "--epochs", pick(1, 20))
    s.row("the teacher", teacher, plain)
    p = s.row("few labels", plain)
    s.row("few labels, soft labels", soft, plain)
    m = s.row("few labels, and samples without", more, plain)
    a = s.row("all labels, soft labels", all_, plain)
    s.must(m, ">= 80 % of the gap", p["errors"] - m["errors"] >= 0.8 * (p["errors"] - a["errors"]))
    return s


@scene
def tasks():
    s = Scene("A teacher of two tasks into two students, Fashion-MNIST",
              "Kind (10) and group (4) of a garment: one run teaches both students, each beside the student of a teacher of "
              "its task alone.")
    both = garments("kind,group")
    limit = ["--limit", pick(2500, 60000)]
    blank = os.path.join(folder("distill-sets"), "two-blank.onnx")
    if not os.path.exists(blank):
        subprocess.run([sys.executable, os.path.abspath("scripts/distill_scenes.py"), proof_sets.FASHION], cwd=folder("distill-sets"), check=True)
    how = ["--epochs", pick(8, 30), "--lr", pick(0.01, 0.02), "-b", 64]
    student = "lenet5:0.25"
    learn = ["--limit", pick(2500, 60000), "--epochs", pick(8, 20), "--lr", 0.005, "-b", 64]  # two students share a run
    two = net("tasks-two", "train", blank, "--data", both, *limit, *how)
    pair = ["distill", "--teacher", two, "--teacher-head", "kind=kind", "--teacher-head", "group=group", "--student",
            f"kind={student}", "--student", f"group={student}", "--data", both, *learn]
    for task in ("kind", "group"):
        data = garments(task)
        alone = net(f"tasks-{task}", "train", "lenet5", "--data", data, *limit, *how)
        plain = net(f"tasks-{task}-plain", "train", student, "--data", data, *learn)
        one = net(f"tasks-{task}-one", "distill", "--teacher", alone, "--student", student, "--data", data, *learn)
        of_two = net("tasks-pair", *pair, extra="-" + task)
        s.row(f"{task}: teacher of this task", alone, data=data)
        s.row(f"{task}: student by labels alone", plain, data=data)
        a = s.row(f"{task}: student of the teacher of this task", one, plain, data=data)
        r = s.row(f"{task}: student of the teacher of both", of_two, one, data=data)
        s.must(r, "within 0.3 points of the one above", gain(r, a) >= -0.3)
    return s


@scene
def transformer():
    s = Scene("Transformer of four layers into two, texts (fortunes)",
              "Hidden states and maps of attention beside soft labels, against soft labels alone.")
    s.data = text_set()
    if not s.data:
        say("text-transformer: Debian's package fortunes is not here")
        return None
    size = pick("dim=32,heads=4", "dim=64,heads=4,dropout=0.2")
    how = ["--data", s.data, *pick(["--limit", 2000], []), "--epochs", pick(4, 10), "--optimizer", "adamw", "--lr", 0.001]
    teacher = net("text-4", "train", f"transformer:depth=4,{size}", *how)
    plain = net("text-2", "train", f"transformer:depth=2,{size}", *how)
    teach = ["distill", "--teacher", teacher, "--student", f"transformer:depth=2,{size}", *how, "-T", 2, "--alpha", 0.7]
    soft = net("text-kd", *teach)
    more = net("text-hidden", *teach, "--term", "hidden", "--term", "attention-maps")
    s.row("four layers, the teacher", teacher, plain)
    s.row("two layers, plain", plain)
    k = s.row("soft labels", soft, plain)
    r = s.row("soft labels, hidden states and attention, against soft labels", more, soft)
    s.must(r, ">= soft labels + 0.5 points", gain(r, k) >= 0.5)
    return s


@scene
def small_numbers():
    s = Scene("Into weights and activations of 2 bits, and into 95 % zeros, Fashion-MNIST",
              pick("LeNet-5 of half its channels", "ResNet-8") + "; each run once by labels alone and once with the teacher. The "
              "last rows have soft labels, attention transfer, rounding and zeros in one run.")
    s.data = FASHION
    network = pick("lenet5:0.5", "resnet8")
    rate, data = pick(0.02, 0.05), ["--data", FASHION, "--limit", pick(2500, 60000), "-b", 64]
    teacher = net("small-teacher", "train", pick("lenet5", "resnet20"), "--data", FASHION, "--limit", pick(6000, 60000),
                  "--epochs", pick(6, 20), "--lr", pick(0.02, 0.1), "-b", 64)
    dense = net("small-dense", "train", network, *data, "--epochs", pick(6, 20), "--lr", rate)
    s.row("the teacher", teacher, dense)
    s.row("dense", dense)
    bits = ["--qat", "--weights", "int2", "--activations", "uint2", "--epochs", pick(4, 10), "--lr", pick(0.005, 0.01)]
    qat = net("small-qat", "quantize", dense, *data, *bits)
    soft = net("small-qat-kd", "quantize", dense, *data, *bits, "--teacher", teacher, "--distill-alpha", 0.7)
    a = s.row("2 bits, labels", qat, dense)
    b = s.row("2 bits, with the teacher, against labels", soft, qat)
    s.must(b, ">= labels + 0.3 points", gain(b, a) >= 0.3)
    zeros = ["--sparsity", 0.95, "--finetune", pick(4, 10), "--lr", pick(0.005, 0.01)]
    sparse = net("small-sparse", "prune", dense, *data, *zeros)
    taught = net("small-sparse-kd", "prune", dense, *data, *zeros, "--teacher", teacher, "--distill-alpha", 0.7)
    c = s.row("95 % zeros, labels", sparse, dense)
    d = s.row("95 % zeros, with the teacher, against labels", taught, sparse)
    s.must(d, ">= labels + 0.3 points", gain(d, c) >= 0.3)
    run = [*data, "--epochs", pick(4, 10), "--lr", pick(0.005, 0.01)]
    labels = net("small-both", "quantize", taught, *run, "--qat", "--weights", "int4", "--activations", "uint4")
    one = net("small-one-run", "distill", "--teacher", teacher, "--student", taught, "--qat", "weights=int4,activations=uint4",
              "--alpha", 0.7, "--term", "attention", "--warmup", 0, "--weight-decay", 1e-4, *run)
    e = s.row("95 % zeros and 4 bits, labels", labels, dense)
    f = s.row("95 % zeros and 4 bits, soft labels and attention in one run", one, labels)
    s.must(f, ">= labels", f["errors"] <= e["errors"])
    return s


@scene
def speed():
    s = Scene("What a teacher costs, ResNet-20 for ResNet-8, Fashion-MNIST",
              "Processor time of one thread for 2,560 samples in batches of 64: that of five epochs of 640 samples less that of "
              "one, each the least of four tries. The teacher's own time is that of its plan for inference at this batch "
              "(skive bench). Beside other work on the machine two tries differed by up to 0.3 in the last figure.")
    teacher = net("speed-teacher", "train", "resnet20", "--data", FASHION, "--limit", 640, "--epochs", 1, "-b", 64, seeds=(1,)).files[0]
    at = folder("distill-sets")
    common = ["--data", FASHION, "--limit", "640", "--lr", "0.01", "-b", "64", "--no-validation", "-q", "-t", "1"]
    cache = os.path.join(at, "speed.cache")
    runs = {"plain": ["train", "resnet8"], "taught": ["distill", "--teacher", teacher, "--student", "resnet8"],
            "cached": ["distill", "--teacher", teacher, "--student", "resnet8", "--cache", cache]}
    least, shown = {}, {}

    def took(words, epochs):
        start = cpu()
        call([*words, *common, "--epochs", str(epochs), "-o", os.path.join(at, "speed.onnx")])
        return cpu() - start
    took(runs["cached"], 1)  # fills the cache
    inference = math.inf
    for _ in range(4):
        for name, words in runs.items():
            for epochs in (1, 5):
                least[name, epochs] = min(least.get((name, epochs), math.inf), took(words, epochs))
            shown[name] = "skive " + " ".join(shlex.quote(short(w)) for w in [*words, *common])
        report = json.loads(call(["bench", teacher, "--batch", "64", "-t", "1", "--seconds", "0.5", "-n", "10", "--json", "-q"]))
        inference = min(inference, report["p50"] * 2560 / 64)
    os.remove(cache)
    best = {name: least[name, 5] - least[name, 1] for name in runs}
    s.value("plain training, seconds", best["plain"], "", True, shown["plain"])
    s.value("the teacher's plan for inference, seconds", inference, "", True, "skive bench TEACHER --batch 64")
    s.value("with the teacher, seconds", best["taught"], "", True, shown["taught"])
    extra = (best["taught"] - best["plain"]) / inference
    s.value("what the teacher adds, in times of its plan", extra, "<= 1", extra <= 1, shown["taught"])
    ratio = best["cached"] / best["plain"]
    s.value("from the cache, in times of plain training", ratio, "<= 1.03", ratio <= 1.03, shown["cached"])
    return s


# ---- the page ----

def read_rows():
    if not os.path.exists(ROWS):
        return []
    with open(ROWS) as f:
        return [dict(zip(FIELDS, line.rstrip("\n").split("\t"))) for line in f]


def number(x):
    return f"{x:.6g}" if isinstance(x, float) else str(x)


def keep(s):
    """A line without a label has the scene's title and text."""
    setting = s.rows[0]["setting"]
    rows = [r for r in read_rows() if (r["setting"], r["scene"]) != (setting, s.name)]
    head = dict.fromkeys(FIELDS, "") | {"setting": setting, "scene": s.name, "must": s.title, "command": s.text}
    rows += [head] + [{k: number(r[k]) for k in FIELDS} for r in s.rows]
    with open(ROWS + ".part", "w") as f:
        for r in rows:
            f.write("\t".join(r[k] for k in FIELDS) + "\n")
    os.replace(ROWS + ".part", ROWS)


def cells(r):
    errors = f"{float(r['errors']):.1f}".removesuffix(".0") if int(r["n"]) else f"{float(r['errors']):.3f}"
    if int(r["seeds"]) > 1:
        errors += f" ± {float(r['deviation']):.1f}"
    against = "-" if r["difference"] == "nan" else "{:+.2f} ({:+.2f} to {:+.2f})".format(
        *[float(r[k]) for k in ("difference", "low", "high")])
    verdict = {"met": " (met)", "missed": " (**missed**)"}.get(r["verdict"], " (not judged here)" if r["must"] else "")
    return [r["label"], errors, against, (r["must"] or "-") + verdict, f"{float(r['seconds']):.0f}" if float(r["seconds"]) else "-"]


def page():
    rows = read_rows()
    lines = ["# Distillation, measured", "",
             "Made by `make proof-distill` (scripts/proof_distill.py). \"Small\" is a setting of few samples and epochs and one "
             "seed, which fits a", "busy machine: its figures are those of short runs, and goals that are absolute are not judged "
             "there. \"Full\" (`FULL=1`) has three", "seeds and runs of many epochs. Errors are of the test set (mean and standard "
             "deviation over the seeds). Differences are points of", "accuracy against \"plain\", or against what the label says, "
             "with their paired 95 % interval. Seconds are of processor time for one", "network, its reading of the data included. "
             "A scene that is not here was not run in that setting.", ""]
    for setting in ("full", "small"):
        for head in [r for r in rows if r["setting"] == setting and not r["label"]]:
            mine = [r for r in rows if r["setting"] == setting and r["scene"] == head["scene"] and r["label"]]
            lines += [f"## {head['must']} ({setting})", "", head["command"], "",
                      f"| model | errors of {mine[0]['n']} | against plain | must | seconds |" if int(mine[0]["n"]) else
                      "| what | value | | must | |", "|---|---:|---|---|---:|"]
            lines += ["| " + " | ".join(cells(r)) + " |" for r in mine]
            lines += ["", *[f"- {r['label']}: `{r['command']}`" for r in mine], ""]
    for setting in ("full", "small"):
        have = {r["scene"] for r in rows if r["setting"] == setting}
        lines += [f"Not run in the {setting} setting: " +
                  (", ".join(n for n in (f.__name__.replace("_", "-") for f in SCENES) if n not in have) or "none") + ".", ""]
    with open(PAGE + ".part", "w") as f:
        f.write("\n".join(lines).rstrip("\n") + "\n")
    os.replace(PAGE + ".part", PAGE)


def main():
    only = os.environ.get("ONLY", "*")
    setting, failed = "full" if FULL else "small", False
    have = {r["scene"] for r in read_rows() if r["setting"] == setting}
    for function in SCENES:
        name = function.__name__.replace("_", "-")
        if not fnmatch.fnmatch(name, only) or (name in have and os.environ.get("FRESH") != "1"):
            continue
        try:
            s = function()
        except RuntimeError as error:
            say(name + ":", error)
            failed = True
            continue
        if s:
            s.name = name
            for r in s.rows:
                r["scene"] = name
            keep(s)
            page()
    page()
    for r in read_rows():
        if r["verdict"] == "missed":
            say(f"missed ({r['setting']}): {r['scene']}: {r['label']}: {r['must']}")
            failed = failed or r["setting"] == setting
    sys.exit(failed)


main()
