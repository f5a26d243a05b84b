# make demo: run notebooks/approval.ipynb and wait until someone opens one of its links
# make test: every check and every test
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
SOURCES := pyproject.toml $(wildcard jupyter-config/*/*.json)
JLPM := cd labextension && PATH="$(abspath $(BIN)):$$PATH" jlpm

.PHONY: demo test lint labextension

demo: $(VENV)/.demo
	JUPYTER_DATA_DIR="$(CURDIR)/.demo" $(BIN)/jupyter pdflow run notebooks/approval.ipynb

test: lint labextension
	$(BIN)/pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The front end; Node.js comes with the package's test requirements.
labextension: $(VENV)/.test
	$(JLPM) install --immutable
	$(JLPM) lint:check
	$(JLPM) types
	$(JLPM) test
	$(JLPM) build:prod

# A demo in a terminal needs no front end, and building one takes minutes.
$(VENV)/.demo: $(SOURCES) | $(BIN)/pip
	@echo "Installing the package without its front end, which takes half a minute the first time."
	SKIP_JUPYTER_BUILDER=1 $(BIN)/pip install --editable .
	touch $@

$(VENV)/.test: $(SOURCES) | $(BIN)/pip
	@echo "Installing the package; its front end is built, which takes minutes the first time."
	$(BIN)/pip install --editable ".[test,lint]"
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter-builder develop . --overwrite
	touch $(VENV)/.demo $@

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
