# `make` alone prints this help.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help reproduce test lint benchmark results
help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

reproduce: .venv/installed ## fresh machine: .venv, pinned dependencies, then the miniature benchmark
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all && echo "Now open reports/index.html"

test: .venv/installed ## fresh machine: .venv, pinned dependencies, then pytest on all cores
	PATH="$(CURDIR)/$(BIN):$$PATH" pytest -n auto --dist worksteal

lint: .venv/installed ## ruff and snakefmt
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile workflow

benchmark: .venv/installed ## speed against the plain way, in one run; writes docs/results/benchmarks.md
	for file in ranking bin_layer packing checking cost m3l summary; do $(BIN)/python -m benchmarks.$$file || exit 1; done

results: ## copy the current selection's tables, and those of its figures that docs/ shows, to docs/
	name=$$(sed -n 's/^name: //p' params/matrix.yaml) && mkdir -p docs/results docs/figures && \
	cp reports/tables/$$name.md reports/tables/$$name-differences.md docs/results/ && \
	for kept in docs/figures/$$name-*.png; do figure=$${kept#docs/figures/$$name-}; \
	if [ -e reports/figures/$$name/$$figure ]; then cp reports/figures/$$name/$$figure $$kept; fi; done

# torch first and by itself: pip then finds the build that fits this machine, and the rest is happy with it
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --constraint constraints.txt torch
	$(BIN)/python -m pip install -q --constraint constraints.txt --editable '.[dev,export]'
	touch $@
