#!/usr/bin/env python3
"""Measures two or more commands in turn and compares them (the protocol and the method are in bench/README.md).

    interleave.py --row NAME --ours CMD --peer [LABEL:]CMD [--peer ...] [--count K] [--rounds R] [--goal X] [--out DIR]
    interleave.py --table DIR

The first form runs ours and every peer alternately, prints the medians and the median of the per-round ratios
peer / ours (above 1: skive is faster), and writes DIR/NAME.json. With --whole a command is a complete process, timed from its
start to its end, instead of one that speaks the protocol. Where several peers stand, the fastest one counts.
The second form writes DIR/README.md from the JSON files found there; rows of that page without one stay. Needs nothing but
Python's own library.
"""

import argparse
import datetime
import glob
import json
import os
import selectors
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time


class Failed(Exception):
    pass


class Server:
    """A command that speaks the line protocol. It is stopped (SIGSTOP) while another one has its turn."""

    def __init__(self, label, command, timeout):
        self.label, self.command, self.timeout = label, command, timeout
        self.errors = tempfile.TemporaryFile(mode="w+")
        try:
            self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=self.errors, start_new_session=True)
        except OSError as error:
            raise Failed("%s: cannot start '%s': %s" % (label, command, error)) from error
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.buffer = b""

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def fail(self, what):
        self.errors.seek(0)
        last = [line.rstrip() for line in self.errors if line.strip()][-1:]
        raise Failed("%s: %s%s (command: %s)" % (self.label, what, ": " + last[0] if last else "", self.command))

    def read_line(self):
        deadline = time.monotonic() + self.timeout
        while b"\n" not in self.buffer:
            if not self.selector.select(max(0.0, deadline - time.monotonic())):
                self.fail("no answer in %g s" % self.timeout)
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                self.fail("ended without an answer")
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def run(self, count):
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(b"run %d\n" % count)
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail("ended early")
        line = self.read_line()
        try:
            answer = json.loads(line)
        except ValueError:
            self.fail("not a JSON line: %s" % line[:80].decode("utf-8", "replace"))
        if "error" in answer:
            self.fail(answer["error"])
        seconds = answer.get("seconds")
        if not isinstance(seconds, list) or len(seconds) != count or not all(s > 0 for s in seconds):
            self.fail("expected %d positive seconds, got: %s" % (count, line[:80].decode("utf-8", "replace")))
        self.signal(signal.SIGSTOP)
        return answer

    def close(self):
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(b"quit\n")
            self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()


class Whole:
    """A command measured from the start of its process to its end."""

    def __init__(self, label, command, timeout):
        self.label, self.command, self.timeout = label, command, timeout
        self.process = None

    def run(self, count):
        seconds, peak = [], 0
        for _ in range(count):
            with tempfile.TemporaryFile() as errors:
                begin = time.perf_counter()
                try:
                    self.process = subprocess.Popen(shlex.split(self.command), stdin=subprocess.DEVNULL,
                                                    stdout=subprocess.DEVNULL, stderr=errors)
                except OSError as error:
                    raise Failed("%s: cannot start '%s': %s" % (self.label, self.command, error)) from error
                _, status, usage = os.wait4(self.process.pid, 0)
                seconds.append(time.perf_counter() - begin)
                self.process.returncode = os.waitstatus_to_exitcode(status)
                if self.process.returncode != 0:
                    errors.seek(0)
                    last = errors.read().decode("utf-8", "replace").strip().splitlines()[-1:]
                    raise Failed("%s: exit status %d%s (command: %s)" % (
                        self.label, self.process.returncode, ": " + last[0] if last else "", self.command))
            peak = max(peak, usage.ru_maxrss * 1024)
        return {"seconds": seconds, "peak_rss_bytes": peak}

    def close(self):
        if self.process and self.process.returncode is None:
            self.process.kill()
            self.process.wait()


def cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            lines = file.read().splitlines()
    except OSError:
        return "unknown"
    name = next((l.split(":", 1)[1].strip() for l in lines if l.startswith("model name")), "unknown")
    flags = next((l.split(":", 1)[1].split() for l in lines if l.startswith("flags")), [])
    ladder = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if f in flags]
    return name + (" (" + " ".join(ladder) + ")" if ladder else "")


def split_peer(text):
    """LABEL:CMD, or CMD alone: a label has no space and no slash."""
    head, colon, rest = text.partition(":")
    if colon and rest and " " not in head and "/" not in head:
        return head, rest
    return "peer", text


def measure(args):
    kind = Whole if args.whole else Server
    sides = []
    rounds = {}
    facts = {}
    try:
        # one at a time: start-up must not disturb another's warm-up
        for label, command in [("skive", args.ours)] + [split_peer(p) for p in args.peer]:
            if label in rounds:
                raise Failed("two commands are called '%s': give them labels (--peer LABEL:CMD)" % label)
            rounds[label] = []
            side = kind(label, command, args.timeout)
            sides.append(side)
            if args.warmup > 0:
                side.run(args.warmup)
        load = os.getloadavg()[0]
        for number in range(args.rounds):
            # every second round in the opposite order, so that a drift of the machine hits both alike
            for side in sides if number % 2 == 0 else reversed(sides):
                answer = side.run(args.count)
                rounds[side.label].append(statistics.median(answer["seconds"]))
                facts[side.label] = {k: v for k, v in answer.items() if k != "seconds"}
            if sys.stderr.isatty():
                print("\r%s: round %d of %d" % (args.row, number + 1, args.rounds), end="", file=sys.stderr)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
    finally:
        for side in sides:
            side.close()

    ours = rounds["skive"]
    peers = []
    for side in sides[1:]:
        ratios = [theirs / mine for theirs, mine in zip(rounds[side.label], ours)]
        peers.append({
            "label": side.label, "command": side.command, "median_seconds": statistics.median(rounds[side.label]),
            "rounds": rounds[side.label], "ratio": statistics.median(ratios), "ratio_min": min(ratios),
            "ratio_max": max(ratios), **facts[side.label],
        })
    fastest = min(peers, key=lambda p: p["ratio"])
    return {
        "row": args.row, "what": args.what or args.row, "goal": args.goal,
        "ratio": fastest["ratio"], "fastest_peer": fastest["label"],
        "met": None if args.goal is None else fastest["ratio"] >= args.goal,
        "skive": {"command": args.ours, "median_seconds": statistics.median(ours), "rounds": ours, **facts["skive"]},
        "peers": peers, "rounds": args.rounds, "count": args.count, "whole_process": args.whole,
        "machine": cpu_name(), "cores": os.cpu_count(), "load_before": round(load, 2),
        "date": datetime.date.today().isoformat(),
    }


def show_time(seconds):
    if seconds < 1e-3:
        return "%.1f us" % (seconds * 1e6)
    if seconds < 1:
        return "%.2f ms" % (seconds * 1e3)
    return "%.2f s" % seconds


def show_memory(side):
    peak = side.get("peak_rss_bytes")
    return "%d MB" % round(peak / 1e6) if peak else ""


def verdict(result):
    if result["goal"] is None:
        return ""
    return "met" if result["met"] else "MISSED"


def report(result):
    mine = result["skive"]
    print("%-26s skive %10s  %s" % (result["row"], show_time(mine["median_seconds"]), show_memory(mine)))
    for peer in result["peers"]:
        print("%-26s %s %10s  %s  ratio %.2f (%.2f to %.2f)" % (
            "", peer["label"], show_time(peer["median_seconds"]), show_memory(peer), peer["ratio"], peer["ratio_min"],
            peer["ratio_max"]))
    if result["goal"] is not None:
        print("%-26s goal %.2f: %s" % ("", result["goal"], verdict(result)))
    if result["skive"]["median_seconds"] < 1e-6:
        print("%-26s the unit of work is below a microsecond: not a usable figure" % "")


def write_whole(path, text):
    partial = path + ".partial"
    with open(partial, "w") as file:
        file.write(text)
    os.replace(partial, path)


def kept(path):
    """The rows and the machines of a table that is there, so that those not measured anew stay in it."""
    rows, machines = {}, {}
    try:
        with open(path) as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return rows, machines
    for line in lines:
        if line.startswith("| ") and not line.startswith("| row "):
            rows.setdefault(line.split(" | ")[0][2:], []).append(line)
        if line.startswith("Machine: "):
            machine, _, names = line[len("Machine: "):].rstrip(".").partition(": ")
            machines[machine] = names.split(", ") if names else None  # all rows
    return rows, machines


def table(directory):
    results = []
    for path in sorted(glob.glob(os.path.join(directory, "*.json"))):
        with open(path) as file:
            results.append(json.load(file))
    if not results:
        raise Failed("%s: no result to tabulate; run bench/run.sh first" % directory)
    rows, machines = kept(os.path.join(directory, "README.md"))
    lines = [
        "# Measured against the peers", "",
        "Written by `bench/run.sh`. Each row alternates skive and its peer in one session; the ratio is the median over the",
        "rounds of peer time / skive time (above 1: skive is faster), its spread in brackets. With more than one peer the",
        "fastest counts. How it is measured: [bench/README.md](../README.md).", "",
        "| row | skive | peer | peer's time | ratio | goal | | peak memory, skive / peer |",
        "|---|---:|---|---:|---:|---:|---|---:|",
    ]
    for r in results:
        rows[r["what"]] = []
        for peer in r["peers"]:
            counts = peer["label"] == r["fastest_peer"]
            memory = " / ".join(m for m in (show_memory(r["skive"]), show_memory(peer)) if m)
            rows[r["what"]].append("| %s | %s | %s | %s | %s%.2f%s (%.2f to %.2f) | %s | %s | %s |" % (
                r["what"], show_time(r["skive"]["median_seconds"]), peer.get("version", peer["label"]) +
                ("" if peer["label"] in peer.get("version", peer["label"]) else " (%s)" % peer["label"]),
                show_time(peer["median_seconds"]), "**" if counts else "", peer["ratio"], "**" if counts else "",
                peer["ratio_min"], peer["ratio_max"], "%.2f" % r["goal"] if counts and r["goal"] is not None else "",
                verdict(r) if counts else "", memory))
    lines += [line for what in rows for line in rows[what]]
    measured = {r["row"] for r in results}
    before = {m: names and [name for name in names if name not in measured] for m, names in machines.items()}
    now = {}
    for r in results:
        now.setdefault("%s, %d cores, %s" % (r["machine"], r["cores"], r["date"]), []).append(r["row"])
    lines.append("")
    for machine, names in list(now.items()) + list(before.items()):
        if names or names is None:
            lines.append("Machine: %s%s." % (machine, ": " + ", ".join(names) if names else ""))
    write_whole(os.path.join(directory, "README.md"), "\n".join(lines) + "\n")
    print("table: %s" % os.path.join(directory, "README.md"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", help="name of the result file")
    parser.add_argument("--what", help="the row's words in the table")
    parser.add_argument("--ours", help="skive's command")
    parser.add_argument("--peer", action="append", default=[], help="[LABEL:]command of a peer; several allowed")
    parser.add_argument("--count", type=int, default=5, help="units of work per turn; a turn counts with their median")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--warmup", type=int, default=2, help="units of work before the first round, not counted")
    parser.add_argument("--goal", type=float, help="ratio to reach")
    parser.add_argument("--whole", action="store_true", help="time whole processes")
    parser.add_argument("--timeout", type=float, default=600, help="seconds allowed for one turn")
    parser.add_argument("--out", help="directory of the result file")
    parser.add_argument("--table", metavar="DIR", help="only write DIR/README.md from the results in DIR")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if args.table:
            table(args.table)
            return 0
        if not args.row or not args.ours or not args.peer:
            parser.error("--row, --ours and --peer are needed")
        if args.rounds < 1 or args.count < 1 or args.warmup < 0:
            parser.error("--rounds and --count must be at least 1, --warmup at least 0")
        result = measure(args)
        report(result)
        if args.out:
            os.makedirs(args.out, exist_ok=True)
            write_whole(os.path.join(args.out, args.row + ".json"), json.dumps(result, indent=1) + "\n")
        return 0
    except Failed as error:
        print("interleave.py: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
