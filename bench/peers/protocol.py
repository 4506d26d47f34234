"""The line protocol of the timing programs (described in bench/README.md).

A timing program reads "run K" on stdin, does its unit of work K times, and answers with one JSON line holding the seconds
of each. "quit" or the end of stdin ends it. A run that fails answers {"error": "..."} and ends with status 1.
"""

import json
import os
import resource
import sys
import time


def limit_threads(count):
    """Sets what OpenMP and BLAS read when they load: to be called before numpy, torch or onnxruntime is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(count)


def threads_from_argv(argv, default=1):
    """The value of --threads, before the argument parser has run."""
    for i, word in enumerate(argv):
        if word == "--threads" and i + 1 < len(argv):
            return int(argv[i + 1])
        if word.startswith("--threads="):
            return int(word.split("=", 1)[1])
    return default


def peak_rss_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def serve(unit, extra=None):
    """Answers "run K" with the seconds of K calls of unit(); extra() adds fields to the answer."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not end up between the answers
    for line in sys.stdin:
        words = line.split()
        if not words:
            continue
        if words[0] == "quit":
            return
        if words[0] != "run" or len(words) != 2 or not words[1].isdigit():
            out.write(json.dumps({"error": "expected 'run K' or 'quit', got '%s'" % line.strip()}) + "\n")
            continue
        try:
            seconds = []
            for _ in range(int(words[1])):
                begin = time.perf_counter()
                unit()
                seconds.append(time.perf_counter() - begin)
            answer = {"seconds": seconds, "peak_rss_bytes": peak_rss_bytes()}
            if extra:
                answer.update(extra())
        except Exception as error:  # the driver has to learn the reason
            out.write(json.dumps({"error": "%s: %s" % (type(error).__name__, error)}) + "\n")
            sys.exit(1)
        out.write(json.dumps(answer) + "\n")
