# make demo: run notebooks/approval.ipynb and wait until someone opens one of its links
# make test: every check and every test
# make test-fast: the tests that need no server, kernel or browser, and no front end
# make test-lowest: tests with the lowest versions of other packages that pyproject.toml allows
PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest

BIN := $(VENV)/bin
SOURCES := pyproject.toml $(wildcard jupyter-config/*/*.json)
JLPM := cd labextension && PATH="$(abspath $(BIN)):$$PATH" jlpm

# Tests of one file share a server; folders that take long come first by their names.
PYTEST := pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
FAST := not (server or browser or kills)

# Tests start hundreds of servers and kernels, which need not compile their modules each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast test-lowest lint labextension

demo: $(VENV)/.demo
	JUPYTER_DATA_DIR="$(CURDIR)/.demo" $(BIN)/jupyter pdflow run notebooks/approval.ipynb

test: lint labextension
	$(BIN)/$(PYTEST)

test-fast: $(VENV)/.test
	$(BIN)/$(PYTEST) -m "$(FAST)"

test-lowest: $(LOWEST)/.test
	$(LOWEST)/bin/$(PYTEST) -q -W default tests/rules tests/pd tests/stores \
		tests/server/links/test_bodies.py tests/server/links/test_clients.py tests/server/links/test_tokens.py \
		tests/server/links/test_links.py tests/server/api/test_api.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The front end; Node.js comes with the package's test requirements.
labextension: $(VENV)/.test
	$(JLPM) install --immutable
	$(JLPM) lint:check
	$(JLPM) types
	$(JLPM) test
	$(JLPM) build:prod
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter-builder develop . --overwrite

# A demo in a terminal needs no front end, and building one takes minutes.
$(VENV)/.demo: $(SOURCES) | $(BIN)/pip
	@echo "Installing the package without its front end, which takes half a minute the first time."
	SKIP_JUPYTER_BUILDER=1 $(BIN)/pip install --editable .
	touch $@

$(VENV)/.test: $(SOURCES) | $(BIN)/pip
	@echo "Installing the package and what its tests need, which takes half a minute the first time."
	$(BIN)/pip install --quiet uv
	SKIP_JUPYTER_BUILDER=1 $(BIN)/uv pip install --python $(VENV) --editable ".[test,lint]"
	touch $(VENV)/.demo $@

# What tests need besides is as new as it gets.
$(LOWEST)/.test: $(SOURCES)
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/pip install --quiet uv
	$(LOWEST)/bin/uv pip install --python $(LOWEST) --resolution lowest-direct \
		--requirement pyproject.toml --extra postgres
	$(LOWEST)/bin/uv pip install --python $(LOWEST) pytest pytest-asyncio pytest-timeout \
		pytest-xdist hypothesis numpy pandas psutil
	SKIP_JUPYTER_BUILDER=1 $(LOWEST)/bin/uv pip install --python $(LOWEST) --no-deps --editable .
	touch $@

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
