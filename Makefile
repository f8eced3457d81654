# `make demo` and `make test` need Python 3.11, make and a package index, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all bench lint clean

demo: $(READY)
	$(BIN)/sensetrain demo --out demo

# A process for each core; the tests of one file stay together and share what they set up.
PYTEST := $(BIN)/pytest -n logical --dist loadfile

test: $(READY) lint
	$(PYTEST) -m "not slow"

test-all: $(READY) lint
	$(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	for file in benchmarks/*.py; do $(BIN)/python $$file || echo "$$file: not run"; done

# Made anew when the dependencies change; a second call finds it ready.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo real
