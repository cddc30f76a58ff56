# Everything is reached from here; each target sets itself up. Needs Python 3.11+ and make.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CHECK := PYTHONPATH=python:tests/python $(BIN)/python -m check
BENCH := PYTHONPATH=python $(BIN)/python -m bench
# Threads of LightGBM that wait for each other sleep: others want the processor.
PYTEST := OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder
export FLYWHEEL_HOME ?= .flywheel
export DBT_PROFILES_DIR ?= .
export DO_NOT_TRACK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-all test-equivalence test-slow mutation fuzz chaos run lint bench bench-bots bench-canary bench-decisions bench-ranking lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV) (once; about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(STAMP) ## create the virtual environment from the lock
	@mkdir -p $(FLYWHEEL_HOME)

demo: setup ## turn the whole flywheel on simulated users, then print the table and the report's path
	@$(BIN)/flywheel demo

run: setup ## one turn on your own log: make run LOG=path [FEATURES=path]
	@test -n "$(LOG)" || { echo "Say which log: make run LOG=path/to/log [FEATURES=path/to/features.parquet]"; exit 2; }
	@$(BIN)/flywheel run --log "$(LOG)" $(if $(FEATURES),--features "$(FEATURES)")

lint: setup ## ruff, sqlfluff, yamllint, and the strict gate: dbt's deprecations, the project's policy
	@$(CHECK) lint $(if $(CHANGED),--changed)

check: setup ## while you work: lint and build what changed since it passed, and every quick test
	@$(CHECK)

test: lint ## every test: dbt build with data and unit tests, Great Expectations, pytest
	@$(PYTEST) -m "not slow"

test-slow: setup ## the tests that take longest: more faults and kills, and proofs that have a target of their own
	@$(PYTEST) -m slow

test-all: setup ## test and every long proof; those that passed on this tree are left out unless AGAIN=1
	@MAKE="$(MAKE_COMMAND)" $(CHECK) proofs $(if $(AGAIN),--again)

test-equivalence: setup ## build logs in many ways, and compare every public table with a rebuild's
	@PYTHONPATH=python:tests/python $(BIN)/python -m equivalence

mutation: setup ## change the marts' SQL one place at a time: which changes does no test notice?
	@PYTHONPATH=tests/python $(BIN)/python -m mutation

fuzz: setup ## a thousand mutated raw files: each ends in tables that add up, or in a sentence
	@FLYWHEEL_FUZZ_FILES=$(or $(FILES),1000) $(BIN)/python -m pytest tests/python/test_fuzz.py

chaos: setup ## SIGKILL at random moments of turns and builds: nothing lost, the next run completes
	@FLYWHEEL_CHAOS_KILLS=$(or $(KILLS),50) $(BIN)/python -m pytest --numprocesses 2 tests/python/test_chaos.py

bench: setup ## time and memory at a million impressions, beside a bare scan and a hand-written script (docs/bench.md)
	@$(BENCH) steps
	@$(BENCH) ruler --minutes 7 --write

bench-bots: setup ## precision and recall of the bot rules by kind, in simulated worlds (docs/bots.md)
	@$(BENCH) bots --write

bench-canary: setup ## errors and power of the canary's rule, on simulated users (docs/canary.md)
	@$(BENCH) canary --write

bench-decisions: setup ## gate, propensities and canary against known truth (docs/decisions-bench.md)
	@PYTHONPATH=python:tests/python $(BIN)/python -m bench_decisions --write

bench-ranking: setup ## what models learn from clicks, against grades: make bench-ranking [LETOR=folder] (docs/ranking-bench.md)
	@PYTHONPATH=python:tests/python $(BIN)/python -m bench_ranking --write $(if $(LETOR),--letor "$(LETOR)")

lock: ## pin requirements.in again (needs uv)
	uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		requirements.in -o requirements.lock
	@sed -i '1i # Made by `make lock` from requirements.in. Do not edit by hand.' requirements.lock

clean: ## remove build output; your logs and models in $(FLYWHEEL_HOME) stay
	rm -rf target logs .ruff_cache
