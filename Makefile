.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

export MLFLOW_DISABLE_TELEMETRY ?= true
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: help install demo test lint docs notebooks clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  \1|/' | awk -F'|' '{ printf "%-12s%s\n", $$1, $$2 }'

install: $(STAMP) ## make .venv with everything the demo and the tests need (torch 2.13.0)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $(STAMP)

demo: install ## phantoms, training, translation, evaluation and report, in demo/
	$(BIN)/medgan demo --out demo

# One thread a process: two processes of tests run beside each other.
test: export OMP_NUM_THREADS ?= 1
test: install ## run the tests on two processes
	$(BIN)/python -m pytest -n 2 -q

lint: install ## style, formatting, types and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

docs: install ## write docs/cli.md, docs/configuration.md and docs/licences.md, then the site into site/
	$(BIN)/python -m medgan.cli.reference docs/cli.md docs/configuration.md
	$(BIN)/python -m medgan.cli.licences docs/licences.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

notebooks: install ## write notebooks/*.ipynb from their .py, without outputs
	$(BIN)/python notebooks/pair.py

clean: ## remove what make and the tools built, .venv included
	rm -rf .venv build dist demo site .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find medgan notebooks pipelines tests -type d -name __pycache__ -prune -exec rm -rf {} +
