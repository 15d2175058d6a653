# `make help` says what there is. Needed beforehand: Python 3.10 or newer, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.installed
SOURCES := lmconv_resource tests tools examples/demo examples/wait-then-start \
    $(patsubst %/__main__.py,%,$(wildcard benchmarks/__main__.py))
# Each is a program of its own, named __main__, of which mypy takes one at a time. What they import it knows by then.
PROGRAMS := $(filter-out $(SOURCES:=/__main__.py), \
    __main__.py plugin/__main__.py $(wildcard examples/*/__main__.py templates/*/__main__.py))
# --no-compile: pulumi-aws alone has 3000 modules, of which a few are ever imported.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# More than the cores: some tests wait for a process or a clock. Each takes some seconds of imports first.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 + (os.cpu_count() or 1))')
PYTEST := -m pytest -n $(WORKERS) --dist worksteal
# With COVERAGE=1 the tests are measured too, and fail below the bound in pyproject.toml; it takes half as long again.
MEASURE := $(if $(COVERAGE),--cov --cov-report=term:skip-covered)
OLDEST := .venv-oldest
# Tests start a hundred processes: each would compile all that it imports where this is set.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo check tables test test-all simulate test-oldest bench recording docs release clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1 \2/p' Makefile | while read -r make target text; do \
	    printf '  make %-11s %s\n' "$$target" "$$text"; done

demo: $(STAMPS)/demo ## Follow a conversion with Pulumi to its end, on a License Manager that runs here
	@$(BIN)/python examples/demo/demo.py

check: $(STAMPS)/dev ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	@printf '%s\n' $(PROGRAMS) | xargs -t -n 1 -P 2 $(BIN)/mypy

tables: $(STAMPS)/dev ## Write what is made of data: the documents' tables, the native provider's schema
	PYTHONPATH=tests:tools $(BIN)/python -m tables --write

test: check ## The same, and run the tests, all but the long proofs
	$(BIN)/python $(PYTEST) -m "not proof"

test-all: check ## The same, and run all tests; COVERAGE=1 measures what they run
	$(BIN)/python $(PYTEST) $(MEASURE)

simulate: $(STAMPS)/dev ## Play histories in the simulated world: make simulate SEEDS=0-50000
	cd tests && ../$(BIN)/python -m simulation --seeds $(or $(SEEDS),0-3000) -n $(WORKERS)

test-oldest: ## Run the tests with the oldest versions that are allowed
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
	    --editable '.[dev]' --constraint tests/oldest.txt
	$(OLDEST)/bin/python $(PYTEST)

bench: $(STAMPS)/dev ## Measure what it costs
	PYTHONPATH=tests:tools $(BIN)/python -m benchmarks

recording: $(STAMPS)/docs ## Record `pulumi up` following a conversion, into docs/recording.svg
	@command -v pulumi >/dev/null || { echo "make recording needs the pulumi command on PATH." >&2; exit 1; }
	$(BIN)/python tools/recording.py

docs: $(STAMPS)/docs ## Make the documentation's site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The site is in site/: open site/index.html"

release: $(STAMPS)/release ## Build what could be uploaded, in dist/, and try it
	$(BIN)/python tools/release.py

clean: ## Remove all that was made here, the virtual environment too
	rm -rf $(VENV) $(OLDEST) site dist .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* .pulumi-local
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/demo: $(STAMPS)/venv
	@echo "Installing the project and its License Manager into $(VENV)"
	@$(PIP_INSTALL) --editable '.[emulator]'
	@touch $@

# What the tests need includes what the demo needs.
$(STAMPS)/dev: $(STAMPS)/venv
	@echo "Installing the project and its tools into $(VENV)"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(STAMPS)/demo

$(STAMPS)/docs: $(STAMPS)/venv
	@echo "Installing the project and what makes its documentation into $(VENV)"
	@$(PIP_INSTALL) --editable '.[docs]'
	@touch $@

$(STAMPS)/release: $(STAMPS)/venv
	@echo "Installing what builds a release into $(VENV)"
	@$(PIP_INSTALL) --editable '.[release]'
	@touch $@

# A virtual environment that `pulumi install` has made is taken as it is, if its Python works.
$(STAMPS)/venv: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	    echo "Python 3.10 or newer is needed, and there is no $(PYTHON). Try: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or newer is needed, \
	and $(PYTHON) is %d.%d. Try: make PYTHON=/path/to/python3" % sys.version_info[:2])'
	@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	    || $(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@
