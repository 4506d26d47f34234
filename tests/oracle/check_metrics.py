#!/usr/bin/env python3
"""Compares the figures of `skive eval` and `skive compare` with formulas written out in numpy.

    check_metrics.py SKIVE

The models give out what they get (one Identity), so that the samples of a data set are its scores. AUC and average precision are
counted pair by pair and threshold by threshold; boxes as pycocotools counts them, without areas and crowds; bootstrap intervals are
compared with those of numpy's own resampling, which differ by chance only."""

import json, os, subprocess, sys, tempfile
import numpy as np, onnx
from onnx import helper

SKIVE = os.path.abspath(sys.argv[1])
r = np.random.default_rng(3)
wrong, checked = [], 0


def model(path, shape, kind):
    shape = ['N'] + list(shape)
    g = helper.make_graph([helper.make_node('Identity', ['x'], ['y'])], 'g',
                          [helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, shape)],
                          [helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, shape)])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    helper.set_model_props(m, {'skive.output.kind': kind})
    onnx.save(m, path)


def figures(x, y, kind, *options):
    np.save('x.npy', np.asarray(x, np.float32))
    np.save('y.npy', y)
    model('m.onnx', np.shape(x)[1:], kind)
    out = subprocess.run([SKIVE, 'eval', 'm.onnx', '-d', 'npy:x.npy,y.npy', '--json', *options], capture_output=True, text=True)
    if out.returncode:
        sys.exit('%s: %s' % (kind, out.stderr))
    return json.loads(out.stdout)['figures']


def same(what, got, expected, tolerance=1e-5):
    global checked
    checked += 1
    if not (got is not None and abs(got - expected) <= tolerance * max(1, abs(expected))):
        wrong.append('%s: %s, numpy %s' % (what, got, expected))


def auc(score, truth):
    above = (score[truth][:, None] > score[~truth][None]).mean()
    return above + (score[truth][:, None] == score[~truth][None]).mean() / 2


def average_precision(score, truth):
    total, last = 0, 0
    for threshold in np.unique(score)[::-1]:
        said = score >= threshold
        recall = truth[said].sum() / truth.sum()
        total += (recall - last) * truth[said].mean()
        last = recall
    return total


def of_classes(p, y):
    n, k = p.shape
    said = p.argmax(1)
    out = {'accuracy': (said == y).mean()}
    if k > 5:
        out['top5'] = np.mean([y[i] in np.argsort(-p[i], kind='stable')[:5] for i in range(n)])
    out['balanced-accuracy'] = np.mean([(said[y == c] == c).mean() for c in range(k) if (y == c).any()])
    f1 = [2 * ((said == c) & (y == c)).sum() / ((said == c).sum() + (y == c).sum()) for c in range(k)
          if (said == c).any() or (y == c).any()]
    out['f1-macro'] = np.mean(f1)
    columns = [1] if k == 2 else range(k)
    out['auc'] = np.mean([auc(p[:, c], y == c) for c in columns if 0 < (y == c).sum() < n])
    out['average-precision'] = np.mean([average_precision(p[:, c], y == c) for c in columns if (y == c).any()])
    out['log-loss'] = -np.log(p[np.arange(n), y]).mean()
    out['perplexity'] = np.exp(out['log-loss'])
    confidence, bins = p.max(1), np.ceil(p.max(1) * 15) - 1
    out['ece'] = sum(abs(((said == y) - confidence)[bins == b].sum()) for b in range(15)) / n
    return out


def classes():
    for k, n, missing in ((3, 200, False), (8, 300, True), (2, 150, False)):
        y = r.integers(0, k - missing, n)
        y[:k - missing] = np.arange(k - missing)
        z = r.standard_normal((n, k)) * 1.5 + np.eye(k)[y] * 1.3
        z = z.astype(np.float32)
        p = np.exp(z.astype(np.float64) - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        kind = 'logits'
        if k == 3:  # with ties
            kind, p = 'probabilities', np.round(p * 16) / 16 + 1 / 64
            p = z = p / 2
        if missing:  # the data must know of the class that does not occur
            y[0] = k - 1
        got = figures(z, y, kind, '--resamples', '400')
        for name, value in of_classes(p, y).items():
            same('%d classes: %s' % (k, name), got[name]['value'], value)
        draws = [of_classes(p[i], y[i])['balanced-accuracy'] for i in (r.integers(0, n, n) for _ in range(400))]
        for end, q in (('low', 2.5), ('high', 97.5)):
            same('%d classes: bootstrap %s' % (k, end), got['balanced-accuracy'][end], np.percentile(draws, q), 0.02)


def labels():
    y = (r.random((120, 4)) < 0.35).astype(np.float32)
    p = np.clip(np.round((0.5 * y + r.random((120, 4))) / 1.5, 2), 0.01, 0.99).astype(np.float32)
    got = figures(p, y, 'sigmoid', '--resamples', '0')
    said, is_ = p >= 0.5, y > 0.5
    same('labels: exact-match', got['exact-match']['value'], (said == is_).all(1).mean())
    same('labels: f1-micro', got['f1-micro']['value'], 2 * (said & is_).sum() / (said.sum() + is_.sum()))
    same('labels: f1-macro', got['f1-macro']['value'], np.mean(2 * (said & is_).sum(0) / (said.sum(0) + is_.sum(0))))
    same('labels: auc', got['auc']['value'], np.mean([auc(p[:, c], is_[:, c]) for c in range(4)]))
    same('labels: map', got['average-precision']['value'], np.mean([average_precision(p[:, c], is_[:, c]) for c in range(4)]))
    q = p.astype(np.float64)
    same('labels: log-loss', got['log-loss']['value'], -(y * np.log(q) + (1 - y) * np.log(1 - q)).mean())


def values():
    y = (r.standard_normal((90, 3)) * [1, 10, 100] + 1000).astype(np.float32)
    x = (y + r.standard_normal((90, 3)) * [0.5, 3, 70]).astype(np.float32)
    got, d = figures(x, y, 'values', '--resamples', '0'), x.astype(np.float64) - y
    same('values: rmse', got['rmse']['value'], np.sqrt((d ** 2).mean()))
    same('values: mae', got['mae']['value'], abs(d).mean())
    same('values: r2', got['r2']['value'], np.mean(1 - (d ** 2).sum(0) / ((y - y.mean(0, dtype=np.float64)) ** 2).sum(0)))
    a, b = x.astype(np.float64), y.astype(np.float64)
    same('values: cosine', got['cosine']['value'], ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())


def places():
    n, k, h, w = 40, 4, 3, 5
    x = r.standard_normal((n, k, h, w)).astype(np.float32) * 2
    y = r.integers(-1, k, (n, h, w))
    y[r.random(n) < 0.3, 1:] = -1  # samples differ in how many places count
    np.save('x.npy', x)
    np.save('y.npy', y)
    model('m.onnx', (k, h, w), 'logits')
    out = subprocess.run([SKIVE, 'eval', 'm.onnx', '-d', 'npy:x.npy,y.npy', '--json', '--resamples', '0', '--mean', 'none'], capture_output=True, text=True)
    if out.returncode:
        sys.exit('places: ' + out.stderr)
    z = x.astype(np.float64)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    loss = -np.take_along_axis(log_p, np.maximum(y, 0)[:, None], 1)[:, 0][y >= 0]
    got = json.loads(out.stdout)['figures']
    same('places: log-loss', got['log-loss']['value'], loss.mean())


def edits(a, b):
    d = np.arange(len(b) + 1)
    for i, x in enumerate(a):
        e = [i + 1]
        for j, t in enumerate(b):
            e.append(min(d[j + 1] + 1, e[j] + 1, d[j] + (x != t)))
        d = e
    return d[len(b)]


def sequences():
    n, steps, k, places = 60, 9, 5, 4
    x = r.standard_normal((n, steps, k)).astype(np.float32)
    y = np.full((n, places), -1)
    for i in range(n):
        length = r.integers(0, places + 1)
        y[i, :length] = r.integers(1, k, length)
    got, distance = figures(x, y, 'ctc', '--resamples', '0'), []
    for i in range(n):
        best = x[i].argmax(1)
        said = [c for t, c in enumerate(best) if c and (t == 0 or best[t - 1] != c)]
        distance.append(edits(said, [c for c in y[i] if c >= 0]))
    same('sequences: edit-distance', got['edit-distance']['value'], np.mean(distance))
    same('sequences: error-rate', got['error-rate']['value'], np.sum(distance) / (y >= 0).sum())
    same('sequences: exact-match', got['exact-match']['value'], np.mean(np.array(distance) == 0))


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def coco(x, y, threshold):
    out = []
    for c in range(3):
        found, truths = [], 0
        for d, t in zip(x, y):
            t = t[t[:, 4] == c]
            truths += len(t)
            free = list(range(len(t)))
            for one in sorted((one for one in d if one[5] == c), key=lambda one: -one[4]):
                best = max(free, key=lambda i: iou(one, t[i]), default=None)
                hit = best is not None and iou(one, t[best]) >= threshold - 1e-9
                if hit:
                    free.remove(best)
                found.append((-one[4], hit))
        if not truths:
            continue
        hits = np.array([h for _, h in sorted(found, key=lambda f: f[0])], bool)
        right = np.cumsum(hits)
        precision, recall = right / np.arange(1, len(hits) + 1), right / truths
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, np.linspace(0, 1, 101) - 1e-12)
        out.append(np.mean([precision[i] if i < len(precision) else 0 for i in at]))
    return np.mean(out)


def boxes():
    n = 40
    y, x = np.full((n, 5, 5), -1.0, np.float32), np.full((n, 9, 6), -1.0, np.float32)
    for i in range(n):
        for k in range(r.integers(0, 6)):
            a = r.integers(0, 40, 2)
            y[i, k] = [*a, *(a + r.integers(8, 30, 2)), r.integers(0, 3)]
        for k in range(9):
            one = y[i, r.integers(0, 5)]
            if one[4] < 0:
                one = np.array([5, 5, 20, 20, r.integers(0, 3)])
            shift = np.tile(r.integers(-3, 4, 2), 2)
            x[i, k] = [*(one[:4] + shift), r.random(), one[4] if r.random() < 0.8 else r.integers(0, 3)]
    got = figures(x, y, 'detections', '--resamples', '0')
    same('boxes: map-50', got['map-50']['value'], coco(x, y, 0.5))
    same('boxes: map-boxes', got['map-boxes']['value'], np.mean([coco(x, y, 0.5 + t / 20) for t in range(10)]))


def embeddings():
    x, y = r.standard_normal((80, 6)).astype(np.float32), r.integers(0, 4, 80)
    x[np.arange(80), y] += 1.5
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    s = z @ z.T - 10 * np.eye(80)
    same('embeddings: nearest', figures(x, y, 'embedding')['nearest']['value'], (y[s.argmax(1)] == y).mean())


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for part in (classes, labels, values, places, sequences, boxes, embeddings):
        part()
print('%d figures compared' % checked)
for line in wrong:
    print('WRONG', line)
sys.exit(1 if wrong else 0)
