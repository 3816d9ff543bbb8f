# Everything a person does with a clone. No target reads from stdin.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CORES ?= all
WORKERS ?= 2
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
BENCHMARKS := $(patsubst benchmarks/%.py,%,$(sort $(wildcard benchmarks/bench_*.py)))

.PHONY: help setup demo test test-slurm test-conda lint format lock schema bench

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.synced ## make .venv from requirements.lock (does nothing when that is unchanged)

.venv/.synced: requirements.lock pyproject.toml envs/build-constraints.txt envs/setup.sh
	envs/setup.sh

demo: setup ## train and judge a small try-on cascade on rendered people (config.yaml); ends with the report
	@$(RUN) snakemake --cores $(CORES)
	@$(RUN) python -c 'from tryon import config; print("report:", config.load("config.yaml").results + "/report/index.html")'

test: setup ## all tests that need no GPU
	@$(RUN) OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

test-slurm: setup ## the drills on a real SLURM that it starts on this machine (Debian: installs slurm-wlm, munge)
	@$(RUN) OMP_NUM_THREADS=1 python -m pytest -m slurm tests/slurm $(ARGS)

test-conda: setup ## build the environments of --use-conda and run the chain in them (docs/conda.md)
	@$(RUN) OMP_NUM_THREADS=1 python -m pytest -m conda tests/conda $(ARGS)

lint: setup ## style, types, workflow, spelling: what a commit must pass
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) snakefmt --check Snakefile workflow
	@$(RUN) snakemake --lint
	@$(RUN) codespell

format: setup ## let the formatters write
	@$(RUN) ruff check --fix --select I .
	@$(RUN) ruff format .
	@$(RUN) snakefmt Snakefile workflow

lock: setup ## resolve pyproject.toml anew into requirements.lock, and the conda environments from it
	@$(RUN) uv pip compile pyproject.toml --extra dev --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements.lock
	$(MAKE) setup
	@$(RUN) python envs/generate.py

schema: setup ## write the JSON schema of the configuration
	@$(RUN) python -m tryon.config --schema > workflow/schemas/config.schema.json.tmp
	@mv workflow/schemas/config.schema.json.tmp workflow/schemas/config.schema.json

bench: ## list the benchmarks; make bench-NAME runs one and ends with one line of JSON
	@for name in $(BENCHMARKS); do \
	    echo "make bench-$$(echo $${name#bench_} | tr _ -)  $$(sed -n '1s/^"""//p' benchmarks/$$name.py)"; \
	done

bench-%: setup
	@$(RUN) python benchmarks/bench_$(subst -,_,$*).py $(ARGS)
