# The front door. Everything here is a thin wrapper round CMake and Ninja.
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
MODELS ?= ../shared/models

.PHONY: all help deps build dev test test-all test-machines demo demo-full bench proof proof-deep proof-distill proof-lowrank proof-prune proof-train proof-quant docs lint clean install dist

all: build

help:
	@echo "make build      the command and the library, in $(BUILD)/"
	@echo "make install    both, with headers, man page and completions, below PREFIX=$(PREFIX) (DESTDIR is honoured)"
	@echo "make demo       trains and compresses a network on Fashion-MNIST; about five minutes on two cores"
	@echo "make demo-full  the same with a larger teacher; about ten minutes"
	@echo "make test       builds with warnings as errors and runs every test; about ten minutes on two cores"
	@echo "make test-all   test, then clang, sanitizers and a fixed number of fuzzing runs a target"
	@echo "make test-machines"
	@echo "                tests on emulated processors: an x86-64 of 2008, AArch64, s390x; about 20 minutes"
	@echo "make lint       formatting, clang-tidy, generated pages, shell scripts"
	@echo "make docs       writes the generated pages anew"
	@echo "make dist       the sources as skive-VERSION.tar.gz, which builds without git"
	@echo "make bench, make proof, make proof-deep, -distill, -lowrank, -prune, -quant, -train"
	@echo "                measurements for docs/results and bench/results"

deps:
	@scripts/deps.sh build

$(BUILD)/build.ninja: CMakeLists.txt
	@cmake --preset release -B $(BUILD) -DSKIVE_TESTS=OFF -DSKIVE_BENCH=OFF $(CMAKE_FLAGS)

# The command and the library alone: no tests and no benchmarks.
build: deps $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS) --target skive skive_static skive_shared

# What measuring needs besides.
dev: $(BUILD)/build.ninja
	@scripts/deps.sh build test
	@cmake -B $(BUILD) -DSKIVE_TESTS=ON -DSKIVE_BENCH=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

test:
	@scripts/deps.sh build test
	@scripts/test.sh

test-all: test
	@scripts/deps.sh lint
	@scripts/test_all.sh

test-machines:
	@scripts/deps.sh build test cross
	@scripts/test_machines.sh

demo: build
	@scripts/deps.sh demo
	@scripts/demo.sh $(BUILD)/skive

demo-full: build
	@scripts/deps.sh demo
	@scripts/demo.sh --full $(BUILD)/skive

bench: dev
	@bench/run.sh

proof: dev
	@scripts/proof.sh $(BUILD)
	@scripts/proof_resume.sh $(BUILD)/skive
	@scripts/memcheck.sh $(BUILD)
	@scripts/compatibility.sh $(BUILD) $(MODELS)

proof-deep: build
	@scripts/deps.sh demo
	@scripts/proof_deep.sh $(BUILD)/skive

proof-lowrank: build
	@scripts/proof_lowrank.sh $(BUILD)/skive

proof-train: build
	@scripts/deps.sh demo
	@scripts/proof_train.sh $(BUILD)/skive

# Needs Fashion-MNIST, and the IDX files of MNIST in the folder MNIST.
proof-distill: build
	@scripts/proof_distill.sh $(BUILD)/skive

proof-prune: dev
	@scripts/deps.sh demo
	@scripts/proof_prune_graphs.sh $(BUILD) $(MODELS)
	@scripts/proof_prune.sh $(BUILD)/skive

proof-quant: build
	@scripts/deps.sh demo
	@scripts/proof_quant.sh $(BUILD)/skive
	@scripts/proof_qat.sh $(BUILD)/skive

lint:
	@scripts/deps.sh build test lint
	@scripts/lint.sh

docs: build
	@scripts/docs.sh $(BUILD)

install: build
	@cmake --install $(BUILD) --prefix "$(PREFIX)" --strip

dist:
	@scripts/dist.sh

clean:
	@rm -rf build build-* demo-out demo-full-out proof-deep proof-prune proof-qat
