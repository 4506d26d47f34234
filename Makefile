# The front door. Everything here is a thin wrapper round CMake and Ninja.
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
MODELS ?= ../shared/models

.PHONY: all deps build test demo bench proof proof-deep docs lint clean install

all: build

deps:
	@scripts/deps.sh

$(BUILD)/build.ninja: CMakeLists.txt
	@cmake --preset release -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS)

build: deps $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

test: deps
	@scripts/test.sh

demo: build
	@scripts/demo.sh $(BUILD)/skive

bench: build
	@bench/run.sh

proof: build
	@scripts/proof.sh $(BUILD)
	@scripts/memcheck.sh $(BUILD)
	@scripts/compatibility.sh $(BUILD) $(MODELS)

proof-deep: build
	@scripts/proof_deep.sh $(BUILD)/skive

lint: deps
	@scripts/lint.sh

docs: build
	@scripts/docs.sh $(BUILD)

install: build
	@cmake --install $(BUILD)

clean:
	@rm -rf build build-* demo-out proof-deep
