# Two commands on a fresh machine with python3 (3.11 or newer): `make demo` and `make test`. Each does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERIES := $(shell $(firstword $(wildcard $(BIN)/python) $(PYTHON)) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := $(wildcard constraints/$(SERIES).txt)
EVERYTHING := -m "slow or not slow" -n 2 --dist worksteal
unexport PYTHONDONTWRITEBYTECODE   # tests start many processes, which would compile all sources anew

, := ,

.PHONY: demo test test-latest test-lowest quick check lint types constraints clean

demo: $(VENV)/installed
	$(BIN)/deepbench build workflows/shapes.yaml
	$(BIN)/deepbench sample shapes 0 --output shapes-0.png

test: $(VENV)/installed-test
	$(BIN)/python -m pytest $(EVERYTHING) $(PYTEST)

# The newest version of every package that can be installed, in an environment of its own.
test-latest:
	rm -rf .venv-latest
	$(MAKE) test VENV=.venv-latest CONSTRAINTS=

# The lowest versions that pyproject.toml allows, on the lowest Python.
test-lowest:
	$(MAKE) quick VENV=.venv-lowest CONSTRAINTS=constraints/lowest.txt PYTHON=python3.11

quick: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST)

check: lint types quick

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-lint
	$(BIN)/mypy

# Resolves anew what the files in constraints/ pin; commit them when `make test` passes with them.
COMPILE = .venv-uv/bin/uv pip compile pyproject.toml --extra test --python-platform x86_64-manylinux_2_28 --upgrade --quiet \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make constraints"
constraints: .venv-uv/bin/uv
	for series in 3.11 3.12 3.13 3.14; do \
		$(COMPILE) --extra lint --python-version $$series --output-file constraints/$$series.txt || exit 1; \
	done
	$(COMPILE) --python-version 3.11 --resolution lowest-direct --output-file constraints/lowest.txt
	sed -i '/^\(cuda\|nvidia\|triton\)/d' constraints/*.txt

clean:
	rm -rf $(VENV) .venv-latest .venv-lowest .venv-uv build dist

.venv-uv/bin/uv:
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/bin/python:
	$(call need,$(PYTHON),name another: make $(MAKECMDGOALS) PYTHON=python3.12)
	$(PYTHON) -m venv $(VENV)

# Python 3.11 or newer: pip would list every version of every package that wants it.
define need
	@$(1) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "DeepBench needs Python 3.11 or newer, $(1) is %d.%d; $(2)" % sys.version_info[:2])'
endef

define install
	$(call need,$(BIN)/python,make it again: make clean $(MAKECMDGOALS) PYTHON=python3.12)
	@$(if $(CONSTRAINTS),true,echo "No versions are pinned for Python $(SERIES): the newest of everything is installed.")
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS)) --editable "$(1)"
endef

$(VENV)/installed: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(call install,.)
	touch $@

$(VENV)/installed-test: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(call install,.[test])
	touch $@ $(VENV)/installed

$(VENV)/installed-lint: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(call install,.[test$(,)lint])
	touch $@ $(VENV)/installed $(VENV)/installed-test
