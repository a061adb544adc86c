# The front door: builds with CMake and Ninja, installing what is missing from Debian packages first.
#
#   make            build/rllc, optimised            make test       the tests (under five minutes)
#   make demo       text, training, sampling, report make test-full  the long tests too
#   make bench      what this machine can do         make docs       manual page and option reference
#   make install    PREFIX=/usr/local DESTDIR=       make clean      forget every build
#   make test-peers   against torch, TransformerLens and devinterp; needs PyPI, 6 GB and ten minutes
#   make debug, make tsan, make coverage: the same tests under sanitizers, and their coverage

PREFIX ?= /usr/local
DEMO ?= demo
JOBS := $(shell nproc 2>/dev/null || echo 2)

all: build

deps:
	@sh tools/install-dependencies.sh

# Configures once; afterwards Ninja itself sees what changed.
build: deps
	@test -f build/build.ninja || cmake --preset release
	@cmake --build build --target rllc librllc docs

everything: build
	@cmake --build build

test: everything
	@ctest --test-dir build --output-on-failure -LE full -j $(JOBS)

test-full: everything
	@ctest --test-dir build --output-on-failure -j $(JOBS)

# What the results are compared with is installed from PyPI into build/peers-venv, once.
test-peers: build
	@sh tools/peers/run.sh

debug tsan coverage: deps
	@test -f build-$@/build.ninja || cmake --preset $@
	@cmake --build build-$@
	@ctest --test-dir build-$@ --output-on-failure -LE full -j $(JOBS)
	@if [ $@ = coverage ]; then sh tools/coverage.sh build-coverage; fi

demo: build
	@sh tools/demo.sh $(DEMO)

bench: build
	@cmake --build build --target bench_kernels bench_step
	@sh bench/run.sh build

docs: build
	@cmake --build build --target docs

install: build
	@cmake --install build --prefix $(PREFIX)

clean:
	rm -rf build build-debug build-tsan build-coverage

.PHONY: all deps build everything test test-full test-peers debug tsan coverage demo bench docs install clean
