# The only entries, for people and CI alike. They use whatever environment is active:
#   python3 -m venv .venv && . .venv/bin/activate && pip install '.[dev]' && make test

PYTHON ?= python3
# More would mean that something is not installed or that tests were lost.
MOST_SKIPS ?= 0
# Processes that run the tests; each needs about 2 GB.
WORKERS ?= 2

.PHONY: help demo test test-slow test-web test-matrix fuzz check bench docs dist
.DEFAULT_GOAL := help

help:       ## list these entries
	@grep -E '^[a-z-]+: +##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+): +## /  make \1\t/' | expand -t 20

demo:       ## explain an example image with the embedded model, into why.html
	$(PYTHON) -m whyclip explain examples/dog_and_red_car.png "a dog" "a red car" --model mini --out why.html

test:       ## the quick tests
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --most-skips=$(MOST_SKIPS)

test-slow:  ## the slow and the browser tests, kept in benchmarks/slow.json (needs: pip install '.[dev,quantus]')
	$(PYTHON) -m benchmarks.slow

test-web:   ## the web page in a browser (needs: pip install '.[dev,browser]', and a Chromium)
	$(PYTHON) -m pytest -q -m browser tests/web

test-matrix: ## models and methods with the last two major versions of both libraries (outside CI)
	$(PYTHON) -m benchmarks.matrix

SEED ?= 0
CASES ?= 10000
SECONDS ?= 900

fuzz:       ## random and damaged inputs, kept in benchmarks/fuzz.json (SEED=, CASES=, SECONDS=)
	$(PYTHON) -m benchmarks.fuzz --seed $(SEED) --cases $(CASES) --seconds $(SECONDS)

check:      ## lint, format, types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

bench:      ## speed against one plain forward pass and against other libraries (docs/speed.md names them)
	$(PYTHON) -m benchmarks.speed
	$(PYTHON) -m benchmarks.peers

docs:       ## build the documentation into site/ (needs: pip install '.[docs]')
	$(PYTHON) -m sphinx -W --keep-going -q -E -a -b html docs site

TAG ?=
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/whyclip/_version.py)

dist:       ## build the package into dist/; TAG=v1.2.3 must be its version (needs: pip install build)
	@test -z "$(TAG)" || test "$(TAG)" = "v$(VERSION)" || { echo "tag $(TAG) is not v$(VERSION)"; exit 1; }
	$(PYTHON) -m build
