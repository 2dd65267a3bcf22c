# `make run` and `make test` install what they need into .venv and go.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
HOME_FOLDER ?= .palimpsest

# uv where it is on the path, since it is quicker; pip without it, and where uv cannot reach what pip is set up to reach.
venv = { command -v uv >/dev/null && uv venv --quiet --seed --python '$(PYTHON)' $(VENV); } || $(PYTHON) -m venv $(VENV)
install = { command -v uv >/dev/null && uv pip install --quiet --python $(BIN)/python --editable '$(1)'; } \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(1)'

.PHONY: run site test lint types unit browser install clean help

help:            ## Show the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/: .*##/:/'

run: $(VENV)/.installed ## Edit the pocket model with four editors, score, store, and build the leaderboard
	$(BIN)/palimpsest run --suite pocket --page --home $(HOME_FOLDER)

# Processes that read results at once.
READERS ?= $(shell getconf _NPROCESSORS_ONLN)

site: $(VENV)/.installed ## Build the leaderboard from the results of this repository; nothing is run
	$(BIN)/palimpsest store ingest --jobs $(READERS) --home $(HOME_FOLDER)
	$(BIN)/palimpsest site build --home $(HOME_FOLDER)

test: ## Lint, type-check and run every test: the types on one core, while the tests begin on the others
	@$(MAKE) --no-print-directory -j2 lint types unit

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# One worker more than there are cores: some tests wait for nodes that are lost, for browsers, for processes that end.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

unit: $(VENV)/.installed-dev browser
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

browser:
	@sh tests/browser/install-chromium.sh

install: $(VENV)/.installed ## Install into .venv

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Palimpsest needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …")'
	@$(venv)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@$(call install,.[gguf])
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@$(call install,.[dev])
	@touch $@ $(VENV)/.installed

clean: ## Remove the virtual environment and caches (never results)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
