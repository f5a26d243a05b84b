# make demo: run notebooks/approval.ipynb and wait until someone opens one of its links
# make test: every check and every test
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
SOURCES := pyproject.toml $(wildcard jupyter-config/*/*.json)

.PHONY: demo test lint

demo: $(VENV)/.demo
	JUPYTER_DATA_DIR="$(CURDIR)/.demo" $(BIN)/jupyter pdflow run notebooks/approval.ipynb

test: lint
	$(BIN)/pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.demo: $(SOURCES) | $(BIN)/pip
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(SOURCES) | $(BIN)/pip
	$(BIN)/pip install --quiet --editable ".[test,lint]"
	touch $(VENV)/.demo $@

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
