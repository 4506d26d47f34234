"""Values of the teaching terms by numpy, from their formulas, for tests/test_terms.c, which holds them as numbers.
Run: python tests/oracle/terms.py"""
import numpy as np


def student(*shape):
    return (1.5 * np.sin(1.0 + np.arange(np.prod(shape)))).reshape(shape)


def teacher(*shape):
    return np.cos(2.0 + 0.7 * np.arange(np.prod(shape))).reshape(shape)


def own(*shape):
    """A term's own parameter."""
    return (0.4 * np.sin(0.5 + 0.3 * np.arange(np.prod(shape)))).reshape(shape)


def unit(x, axis):
    return x / np.sqrt((x * x).sum(axis, keepdims=True))


def log_softmax(z):
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def softplus(x):
    return np.log1p(np.exp(x))


def conv3(x, w):
    n, _, h, v = x.shape
    p = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros((n, w.shape[0], h, v))
    for i in range(3):
        for j in range(3):
            y += np.einsum("nchw,oc->nohw", p[:, :, i:i + h, j:j + v], w[:, :, i, j])
    return y


def show(name, value):
    print(f"{name:28} {value:.12g}")


s, t = student(2, 2, 2, 2), teacher(2, 3, 2, 2)
show("hint maps", ((np.einsum("nchw,oc->nohw", s, own(3, 2)) - t) ** 2).mean())
show("hint rows", ((student(3, 2) @ own(2, 4) - teacher(3, 4)) ** 2).mean())

s, t = student(2, 3, 2, 2), teacher(2, 2, 2, 2)
for power in (2, 3):
    a = [unit((np.abs(x) ** power).mean(1).reshape(2, -1), 1) for x in (s, t)]
    show(f"attention power={power}", ((a[0] - a[1]) ** 2).mean())

g = [unit(x @ x.T, 1) for x in (student(3, 2), teacher(3, 4))]
show("similarity", ((g[0] - g[1]) ** 2).sum() / 9)


def huber(d):
    d = np.abs(d)
    return np.where(d < 1, d * d / 2, d - 0.5).mean()


def distances(x):
    d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(2))
    return d / (d.sum() / (len(x) * (len(x) - 1)))


def angles(x):
    e = x[None] - x[:, None]  # [j][i]
    length = np.sqrt((e ** 2).sum(2, keepdims=True))
    e = np.where(length > 0, e / np.where(length > 0, length, 1), 0)
    return np.einsum("jid,jkd->jik", e, e)


x, y = student(4, 2), teacher(4, 4)  # no two samples nearly the same: their angles have few digits in float32
d, a = huber(distances(x) - distances(y)), huber(angles(x) - angles(y))
show("relation distance=1,angle=0", d)
show("relation distance=0,angle=1", a)
show("relation", 25 * d + 50 * a)


def neighbours(x):
    c = (unit(x, 1) @ unit(x, 1).T + 1) / 2
    return c / c.sum(1, keepdims=True)


y = teacher(4, 3)
p, q = neighbours(y), neighbours(x)
show("pkt", (p * (np.log(p) - np.log(q))).mean())

s, t = [unit(v.reshape(2, -1, 4), 2) for v in (student(2, 2, 2, 2), teacher(2, 3, 2, 2))]
dots = [np.einsum("nap,nbp->nab", u, v) for u, v in ((s, s), (t, t), (s, t))]
for name in ("poly", "linear", "gaussian"):
    v = (2 - 2 * dots[2]).mean()
    k = {"poly": lambda m: m * m, "linear": lambda m: m, "gaussian": lambda m: np.exp(-(2 - 2 * m) / (2 * v))}[name]
    show(f"nst kernel={name}", k(dots[0]).mean() + k(dots[1]).mean() - 2 * k(dots[2]).mean())

s, t = student(2, 2, 2, 2), teacher(2, 4, 2, 2)
leaky = lambda x: np.where(x > 0, x, 0.1 * x)
ft, fs = leaky(conv3(t, own(2, 4, 3, 3))), leaky(conv3(s, own(2, 2, 3, 3)))
back = ((conv3(ft, own(4, 2, 3, 3)) - t) ** 2).mean()
show("factor", back + 200 * np.abs(unit(fs.reshape(2, -1), 1) - unit(ft.reshape(2, -1), 1)).mean())


def fsp(f, g):
    f = f.reshape(f.shape[0], f.shape[1], 2, 2, 2, 2).max((3, 5)).reshape(f.shape[0], f.shape[1], 4)
    return np.einsum("ncp,ndp->ncd", f, g.reshape(g.shape[0], g.shape[1], 4)) / 4


s = fsp(np.einsum("nchw,oc->nohw", student(2, 2, 4, 4), own(3, 2)), student(2, 3, 2, 2))
show("fsp", ((s - fsp(teacher(2, 3, 4, 4), teacher(2, 3, 2, 2))) ** 2).mean())

s, t = student(3, 2), teacher(3, 4)
m = np.maximum(np.maximum(s @ own(2, 4), 0) @ own(4, 4), 0) @ own(4, 4)
v = softplus(own(1, 4)) + 1e-5
show("vid", (((t - m) ** 2 / v + np.log(v)) / 2).mean())

show("hidden", ((student(2, 3, 2) @ own(2, 4) - teacher(2, 3, 4)) ** 2).mean())
a, b = student(1, 2, 2, 2), teacher(1, 2, 2, 2)
show("attention-maps", ((a - b) ** 2).mean())
show("attention-maps heads", ((a.mean(1) - teacher(1, 3, 2, 2).mean(1)) ** 2).mean())

labels = np.array([0, 1, 0])
s, t = unit(student(3, 2) @ own(2, 4) + own(4), 1), unit(teacher(3, 3) @ own(3, 4) + own(4), 1)
u = s @ t.T / 0.07
mask = (labels[:, None] == labels[None]) & ~np.eye(3, dtype=bool)
e = np.where(mask, 0, np.exp(u))
show("contrastive negatives=0", ((np.log(e.sum(1)) - np.diag(u)).mean() + (np.log(e.sum(0)) - np.diag(u)).mean()) / 2)

z, y, labels = student(2, 4), 3 * teacher(2, 4), np.array([1, 3])
for T in (4.0,):
    p, q = np.exp(log_softmax(y / T)), np.exp(log_softmax(z / T))
    show("kl", T * T * (p * np.log(p / q)).sum(1).mean())
    hard = -log_softmax(z)[[0, 1], labels].mean()
    show("peer", 0.7 * T * T * (p * np.log(p / q)).sum(1).mean() + 0.3 * hard)
    one = np.eye(4, dtype=bool)[labels]
    pt, qt = p[one], q[one]
    target = pt * np.log(pt / qt) + (1 - pt) * np.log((1 - pt) / (1 - qt))
    po, qo = p[~one].reshape(2, 3), q[~one].reshape(2, 3)
    po, qo = po / po.sum(1, keepdims=True), qo / qo.sum(1, keepdims=True)
    show("dkd", T * T * (target + 8 * (po * np.log(po / qo)).sum(1)).mean())
show("logits", ((z - y) ** 2).mean())
std = lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
p, q = log_softmax(std(y) / 2), log_softmax(std(z) / 2)
show("standardized", 4 * (np.exp(p) * (p - q)).sum(1).mean())

# Two teachers, combined.
a, b, z = 3 * teacher(2, 4), student(2, 4), np.zeros((2, 4))
labels = np.array([1, 3])
pa, pb = np.exp(log_softmax(a / 4)), np.exp(log_softmax(b / 4))
q = np.exp(log_softmax(z / 4))
kl = lambda p: 16 * (p * np.log(p / q)).sum(1).mean()
show("combined mean", kl((pa + pb) / 2))
show("combined weights 0.3 0.7", kl(0.3 * pa + 0.7 * pb))
loss = np.stack([-log_softmax(x)[np.arange(2), labels] for x in (a, b)], 1)
w = 1 - np.exp(loss) / np.exp(loss).sum(1, keepdims=True)
show("combined confidence", kl(w[:, :1] * pa + w[:, 1:] * pb))
entropy = np.stack([-(np.exp(log_softmax(x)) * log_softmax(x)).sum(1) for x in (a, b)], 1)
w = 1 - np.exp(entropy) / np.exp(entropy).sum(1, keepdims=True)
show("combined by entropy", kl(w[:, :1] * pa + w[:, 1:] * pb))
