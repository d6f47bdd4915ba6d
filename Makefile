# Thin: the README shows what each of these does without make.
#
# One virtual environment, .venv. It is made once, and brought up to date when setup.cfg or
# pyproject.toml change. PYTHON=/path/to/python3.12 chooses the interpreter.

VENV ?= .venv
PYTHON ?=
BIN := $(VENV)/bin
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Four workers whatever the cores: the tests wait for processes more than they compute, and every worker
# starts an embedded MongoDB of its own. Whoever is done takes from the others: a few tests are long.
WORKERS ?= 3
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -rfE
# The unit tests alone must reach every branch of what is marked as pure.
PURE = .pure.coveragerc
COVERED = --cov --cov-config=$(PURE) --cov-fail-under=100 --cov-report=term-missing:skip-covered

.PHONY: help demo demo-schedule test test-slow lint bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-demo ## see it work: a tour on embedded servers that ends by itself
	@$(BIN)/reconcile demo

demo-schedule: $(VENV)/.installed-demo ## a shop's day with the scheduler, in about a minute
	@$(BIN)/reconcile demo --schedule

test: $(VENV)/.installed-dev ## the whole test suite but the slow tests
	@$(BIN)/python tests/pure.py > $(PURE)
	@$(PYTEST) -m "not slow" $(COVERED) tests/unit
	@$(PYTEST) -m "not slow" --ignore=tests/unit

test-slow: $(VENV)/.installed-dev ## the slow tests, minutes long
	@$(PYTEST) -m slow

lint: $(VENV)/.installed-dev ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports

bench: $(VENV)/.installed-dev ## the benchmarks, most of two hours; QUICK=1 only tries whether they work
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

clean: ## remove the virtual environment, builds and caches
	rm -rf $(VENV) build dist *.egg-info $(PURE) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# dev holds demo: whoever has installed dev needs nothing more for the demo.
$(VENV)/.installed-dev: setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "installing reconcile and its tools into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed-demo

$(VENV)/.installed-demo: setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "installing reconcile into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/bin/python:
	@usable='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; \
	for python in $(or $(PYTHON),python3.11 python3.12 python3.13 python3); do \
	  if "$$python" -c "$$usable" 2>/dev/null; then \
	    echo "making $(VENV) with $$("$$python" --version)"; \
	    rm -rf $(VENV); \
	    if "$$python" -m venv $(VENV) >/dev/null 2>&1; then exit 0; fi; \
	    rm -rf $(VENV); \
	    echo "$$python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    exit 1; \
	  fi; \
	done; \
	for python in $(or $(PYTHON),python3 python); do \
	  if found=$$("$$python" --version 2>/dev/null); then echo "found $$found" >&2; fi; \
	done; \
	echo "no usable Python: 3.11, 3.12 or 3.13 is needed (make PYTHON=/path/to/python3.12 …)." >&2; \
	echo "The embedded MongoDB of demo and tests (SecantusDB) has wheels for these alone," >&2; \
	echo "none for Python 3.14 yet." >&2; \
	exit 1
