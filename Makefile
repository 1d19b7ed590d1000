# Everything goes through .venv, which `make setup` makes; every other target depends on it.

PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo
JOBS ?= 2
RUNS := digits repeated-digits mnist-seed mnist-seed-k100 mnist-small-batch-small mnist-batchbald-small \
	repeated-mnist-small mnist-dbal-small learned-mnist posteriors posteriors-mnist posteriors-mnist-mlp
COMPARED := digits repeated-digits letter mnist
FIGURES := two-moons-boundaries bald-terms mnist-curves batch-information bald-vs-batchbald posteriors
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: help setup demo test quick bench bench-quick data reproduce report figures docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: .venv/.ok  ## make .venv with asktell and all that its tests need

.venv/.ok: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode -c constraints.txt -e '.[dev,docs,bench]'
	$(BIN)/uv pip install --quiet --no-deps batchbald-redux==2.0.5 laplace-torch==0.3 asdfghjkl==0.1a4 \
		backpack-for-pytorch==1.7.1 curvlinops-for-pytorch==3.0.1 einconv==0.1.0 einops==0.8.2 linear-operator==0.6.1 \
		unfoldnd==0.2.3
	touch $@

demo: setup  ## real MNIST: how many labels active learning saves (6 minutes on two cores)
	$(BIN)/asktell experiment run demo --out $(OUT) --jobs $(JOBS)
	$(BIN)/asktell experiment report $(OUT)

test: setup  ## the gate: format, lint, types, layers, docs, tests, doctests, the wheel
	scripts/gate

quick: setup  ## the tests without real kills and real training
	$(BIN)/python -m pytest -q -n 2 -m "not slow"

bench: setup  ## speed against the peers, written to benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

bench-quick: setup  ## the same on tiny inputs, nothing written: whether it runs
	$(BIN)/python -m benchmarks --quick

data: setup  ## fetch and check every data set
	$(BIN)/asktell experiment data

reproduce: setup  ## the committed runs (hours); skips what is done, goes on where it was interrupted
	set -e; for run in $(RUNS); do $(BIN)/asktell experiment run $$run --out results/$$run --jobs $(JOBS); done
	set -e; for set in $(COMPARED); do $(BIN)/asktell experiment run comparison-$$set --out results/comparison --jobs $(JOBS); done
	$(MAKE) report

report: setup  ## tables, curves and page of every committed run
	set -e; for cells in results/*/cells; do $(BIN)/asktell experiment report $${cells%/cells}; done

figures: setup  ## the figures, into docs/figures
	set -e; for name in $(FIGURES); do $(BIN)/asktell figure $$name --out docs/figures/$$name.png; done

docs: setup  ## the documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove .venv and what tools left behind
	rm -rf .venv dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
