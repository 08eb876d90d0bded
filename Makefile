# `make run` opens the explorer, `make test` runs the tests; both set up first.
# Nothing is installed outside .venv, and `make setup` does nothing the second time.

.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.9.11
STAMP := $(VENV)/.set-up
BROWSER := $(VENV)/browser/.installed

.PHONY: help setup browser run test lint format types bench sessions-db screenshots lock clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## set up .venv from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "sonar-explore needs Python 3.11 or 3.12, and $(PYTHON) is $$($(PYTHON) --version 2>&1); name another with PYTHON=…" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test "$$($(BIN)/uv --version 2>/dev/null | cut -d' ' -f2)" = $(UV_VERSION) \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "Installing the locked packages into $(VENV) (about 7 GB; half a minute on a fast line) ..."
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes --no-deps -r requirements.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

browser: $(BROWSER) ## install the headless Chromium with which tests look at reports

$(BROWSER): tests/browser/install.py tests/browser/package-lock.json | setup
	@echo "Installing Chromium for the tests (70 MB) ..."
	@$(BIN)/python -m tests.browser.install $(@D)
	@touch $@

run: setup ## open the explorer; without a terminal, run the published experiment headless
	@$(BIN)/python -m tui

test: setup browser ## run the tests
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: setup ## ruff and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

format: setup ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: setup ## mypy, strict, tests included
	@$(BIN)/mypy

lock: ## resolve pyproject.toml again into requirements.lock
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --extra dev \
	  --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --quiet --output-file requirements.lock

bench: setup ## measure steps, decoding, recording and first paint on this machine
	@$(BIN)/python -m benchmarks

sessions-db: setup ## make the shipped sessions.db again
	@$(BIN)/python -m engine.reference sessions.db

screenshots: setup ## make the README's pictures again
	@$(BIN)/python docs/make_screenshots.py

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist
