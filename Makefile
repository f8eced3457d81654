# `make demo` and `make test` need Python 3.11, make and a package index, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all bench lint clean

demo: $(READY)
	$(BIN)/sensetrain demo --out demo

test: $(READY) lint
	$(BIN)/pytest -m "not slow"

test-all: $(READY) lint
	$(BIN)/pytest

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
