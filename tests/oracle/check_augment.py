"""Compares skive's transforms with Pillow, colorsys and NumPy on random images: the random numbers are drawn again here (Philox, XXH64), and
what they decide is done by the other library. Exit 1 when a pixel differs by more than the other library's rounding.

    tests/oracle/check_augment.py [build/skive] [--seed N]
"""
import argparse
import colorsys
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
folder = pathlib.Path(tempfile.mkdtemp())
failed = checked = 0
N, H, W = 120, 23, 31
M64 = (1 << 64) - 1


# ---- random numbers ----

def xxh64_short(data, seed):
    """XXH64 of less than 32 bytes."""
    p1, p2, p3, p4, p5 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
    rotate = lambda x, n: (x << n | x >> (64 - n)) & M64
    h = (seed + p5 + len(data)) & M64
    while len(data) >= 8:
        lane = rotate(int.from_bytes(data[:8], "little") * p2 & M64, 31) * p1 & M64
        h = (rotate(h ^ lane, 27) * p1 + p4) & M64
        data = data[8:]
    if len(data) >= 4:
        h = (rotate(h ^ (int.from_bytes(data[:4], "little") * p1 & M64), 23) * p2 + p3) & M64
        data = data[4:]
    for byte in data:
        h = rotate(h ^ (byte * p5 & M64), 11) * p1 & M64
    h = (h ^ h >> 33) * p2 & M64
    h = (h ^ h >> 29) * p3 & M64
    return h ^ h >> 32


def philox(key, low, high):
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    c = [low & 0xFFFFFFFF, low >> 32, high & 0xFFFFFFFF, high >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k0, p1 & 0xFFFFFFFF, p0 >> 32 ^ c[3] ^ k1, p0 & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


class Draw:
    """The numbers of one sample in epoch 0, for the first transform of the list."""

    def __init__(self, index):
        self.key, self.index, self.block, self.words = xxh64_short(b"transforms", args.seed), index, 0, []

    def word(self):
        if not self.words:
            self.words = philox(self.key, self.index, self.block << 40)
            self.block += 1
        return self.words.pop(0)

    def uniform(self):
        return self.word() / 2.0**32

    def between(self, low, high):
        return low + (high - low) * self.uniform()

    def below(self, n):
        return self.word() * n >> 32


# ---- the images ----

rng = np.random.default_rng(args.seed)
smooth = np.cumsum(np.cumsum(rng.normal(size=(N, 3, H, W)), axis=2), axis=3)  # more like photos than noise is
smooth -= smooth.min(axis=(2, 3), keepdims=True)
images = (smooth / smooth.max(axis=(2, 3), keepdims=True) * 255).astype(np.uint8)
images[N // 2:] = rng.integers(0, 256, (N - N // 2, 3, H, W), dtype=np.uint8)
np.save(folder / "x.npy", images)


def transformed(text):
    command = [args.skive, "data", f"npy:{folder / 'x.npy'}", "--split", "test", "--in-order", "--samples", str(N), "--no-summary", "--seed",
               str(args.seed), "--augment", text, "--array", folder / "y.npy", "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return np.load(folder / "y.npy")


def near(what, want, got, tolerance, where=None):
    global failed, checked
    checked += 1
    far = np.abs(want - got)
    if where is not None:
        far = far[..., where]
    if far.size and not far.max() <= tolerance:
        failed += 1
        print("FAIL %s: differs by up to %g" % (what, far.max()))


def planes(i):
    return [Image.fromarray(images[i, c].astype(np.float32) / 255) for c in range(3)]


def picture(i):
    return Image.fromarray(np.ascontiguousarray(images[i].transpose(1, 2, 0)))


def as_array(image):
    return np.asarray(image, np.float64).transpose(2, 0, 1) / 255


# ---- moved pixels ----

def check_warp(what, i, m, got):
    """m maps pixels (x, y, 1) of the result to those of the image; Pillow counts from the pixels' corners."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    p = half @ m @ np.linalg.inv(half)
    p /= p[2, 2]
    want = np.stack([np.asarray(x.transform((W, H), Image.PERSPECTIVE, p.flatten()[:8], Image.BILINEAR)) for x in planes(i)])
    ys, xs = np.mgrid[0:H, 0:W]
    u = m @ np.stack([xs.ravel(), ys.ravel(), np.ones(H * W)])
    u, v = (u[0] / u[2]).reshape(H, W), (u[1] / u[2]).reshape(H, W)
    inside = (u > 0.01) & (v > 0.01) & (u < W - 1.01) & (v < H - 1.01)  # all four pixels; at the border Pillow repeats, skive has 0
    near(what, want, got, 1e-4, inside)
    outside = (u < -1) | (v < -1) | (u > W) | (v > H)
    near(what + " outside", np.zeros_like(got), got, 0, outside)


def centred(matrix, dx=0.0, dy=0.0):
    cx, cy = (W - 1) / 2, (H - 1) / 2
    forward = np.array([[1, 0, cx + dx], [0, 1, cy + dy], [0, 0, 1]]) @ matrix @ np.array([[1, 0, -cx], [0, 1, -cy], [0, 0, 1]])
    return np.linalg.inv(forward)


def rotation(angle):
    return np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])


for i, got in enumerate(transformed("rotate:60")):
    check_warp("rotate", i, centred(rotation(math.radians(60 * (2 * Draw(i).uniform() - 1)))), got)

for i, got in enumerate(transformed("affine:40,translate=0.2,scale=0.3,shear=20")):
    d = Draw(i)
    angle = math.radians(d.between(-40, 40))
    dx, dy, size = d.between(-0.2, 0.2) * W, d.between(-0.2, 0.2) * H, d.between(0.7, 1.3)
    sx, sy = math.tan(math.radians(d.between(-20, 20))), math.tan(math.radians(d.between(-20, 20)))
    shear = np.array([[1, 0, 0], [sy, 1, 0], [0, 0, 1]]) @ np.array([[1, sx, 0], [0, 1, 0], [0, 0, 1]])
    check_warp("affine", i, centred(rotation(angle) @ shear @ np.diag([size, size, 1]), dx, dy), got)

for i, got in enumerate(transformed("perspective:0.6,probability=1")):
    d = Draw(i)
    d.uniform()
    corners = [(0, 0), (W - 1, 0), (W - 1, H - 1), (0, H - 1)]
    moved = []
    for x, y in corners:
        dx, dy = d.between(0, 0.6) * W / 2, d.between(0, 0.6) * H / 2
        moved.append((x - dx if x else dx, y - dy if y else dy))
    rows = []
    for (x, y), (u, v) in zip(moved, corners):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solution = np.linalg.solve(np.array(rows), np.array(corners, float).ravel())
    check_warp("perspective", i, np.append(solution, 1).reshape(3, 3), got)

for i, got in enumerate(transformed("resized-crop:0.1,most=0.7")):
    d = Draw(i)
    for _ in range(10):
        area, shape = H * W * d.between(0.1, 0.7), math.exp(d.between(-math.log(4 / 3), math.log(4 / 3)))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if w <= W and h <= H:
            top, left = d.below(H - h + 1), d.below(W - w + 1)
            want = np.stack([np.asarray(x.crop((left, top, left + w, top + h)).resize((W, H), Image.BILINEAR)) for x in planes(i)])
            near("resized-crop", want, got, 1e-4)
            break

# ---- colours ----

ORDER = ["brightness", "contrast", "saturation", "hue"]


def color_amount(i, name, most):
    """Of one change alone: the order is drawn first, then an amount for each place."""
    d, order = Draw(i), list(range(4))
    for k in range(3, 0, -1):
        j = d.below(k + 1)
        order[k], order[j] = order[j], order[k]
    amount = 0
    for which in order:
        amount = d.uniform()
        if ORDER[which] == name:
            break
    return most * (2 * amount - 1)


def only(name, most):
    return "color:" + ",".join("%s=%g" % (x, most if x == name else 0) for x in ORDER)


enhancers = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}
for name, enhancer in enhancers.items():
    for i, got in enumerate(transformed(only(name, 0.8))):
        want = as_array(enhancer(picture(i)).enhance(1 + color_amount(i, name, 0.8)))
        near(name, want, got, 2 / 255)  # Pillow cuts to bytes, and takes a whole number for the mean or the grey
for i, got in enumerate(transformed(only("hue", 0.5))):
    x, move = images[i].reshape(3, -1).T / 255, color_amount(i, "hue", 0.5)
    hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in x]
    want = np.array([colorsys.hsv_to_rgb((h + move) % 1, s, v) for h, s, v in hsv]).T.reshape(3, H, W)
    near("hue", want, got, 2e-6)
for i, got in enumerate(transformed("gray:1")):
    near("gray", np.repeat(as_array(picture(i).convert("L").convert("RGB"))[:1], 3, axis=0), got, 1 / 255)

# ---- blur ----

for i, got in enumerate(transformed("blur:2,least=0.5,probability=1")):
    d = Draw(i)
    d.uniform()
    sigma = d.between(0.5, 2)
    r = math.ceil(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-r, r + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    x = np.pad(images[i] / 255, ((0, 0), (r, r), (r, r)), mode="reflect")
    x = np.apply_along_axis(np.convolve, 1, x, kernel, "valid")
    near("blur", np.apply_along_axis(np.convolve, 2, x, kernel, "valid"), got, 2e-6)

# ---- the pool ----

NAMES = ["identity", "shear-x", "shear-y", "translate-x", "translate-y", "rotate", "brightness", "color", "contrast", "sharpness", "posterize",
         "solarize", "autocontrast", "equalize"]
seen = set()
for strength in (9, 20, 30):
    for i, got in enumerate(transformed("randaugment:1,strength=%d" % strength)):
        d = Draw(i)
        name, sign = NAMES[d.below(14)], 1
        if d.word() & 1:
            sign = -1
        s, image = strength / 30, picture(i)
        seen.add(name)
        if name in ("shear-x", "shear-y", "rotate"):
            m = np.eye(3)
            half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
            if name == "rotate":
                m = centred(rotation(math.radians(30 * s * sign)))
            else:
                m[(0, 1) if name == "shear-x" else (1, 0)] = 0.3 * s * sign
                m = np.linalg.inv(half) @ m @ half
            check_warp(name, i, m, got)
        elif name == "translate-x":
            by = round(150 / 331 * s * W) * sign
            near(name, as_array(image.transform((W, H), Image.AFFINE, (1, 0, by, 0, 1, 0))), got, 1e-6)
        elif name == "translate-y":
            by = round(150 / 331 * s * H) * sign
            near(name, as_array(image.transform((W, H), Image.AFFINE, (1, 0, 0, 0, 1, by))), got, 1e-6)
        elif name in ("brightness", "color", "contrast"):
            enhancer = {"brightness": ImageEnhance.Brightness, "color": ImageEnhance.Color, "contrast": ImageEnhance.Contrast}[name]
            near(name, as_array(enhancer(image).enhance(1 + 0.9 * s * sign)), got, 2 / 255)
        elif name == "sharpness":
            near(name, as_array(ImageEnhance.Sharpness(image).enhance(1 + 0.9 * s * sign)), got, 2 / 255)
        elif name == "posterize":
            near(name, as_array(ImageOps.posterize(image, 8 - round(4 * s))), got, 1e-6)
        elif name == "solarize":
            near(name, as_array(ImageOps.solarize(image, 255 * (1 - s) - 1e-6)), got, 1e-6)
        elif name == "autocontrast":
            near(name, as_array(ImageOps.autocontrast(image)), got, 1.01 / 255)
        elif name == "equalize":
            near(name, as_array(ImageOps.equalize(image)), got, 1e-6)
        else:
            near(name, as_array(image), got, 1e-6)
if len(seen) != len(NAMES):
    failed += 1
    print("FAIL: not drawn:", sorted(set(NAMES) - seen))
print("%d comparisons with Pillow and NumPy, %d differ" % (checked, failed))
sys.exit(1 if failed or not checked else 0)
