PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/dagster_home

.PHONY: demo dev test test-slow lint bench clean

demo: $(VENV)/.installed  ## Sync the demo company into all stores, and search it
	$(BIN)/sync-assets demo

dev: $(VENV)/.installed  ## Open the Dagster UI on http://localhost:3000
	$(BIN)/dagster dev

# Files of tests side by side, in the order in which they are found: the long ones come early.
# Two more at a time than there are processors, since they wait for their servers half of the time.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
TEST := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(VENV)/.installed  ## All tests but the slow ones
	$(TEST)

test-slow: $(VENV)/.installed  ## Property tests with many examples, and a real deployment
	$(TEST) -m "slow or not slow"

lint: $(VENV)/.installed  ## Style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

bench: $(VENV)/.installed  ## Measure everything, and write docs/benchmarks.md; needs mariadb-server
	$(BIN)/python -W ignore -m bench

clean:  ## Remove the virtual environment
	rm -rf $(VENV)

# torch comes first and by itself: later installs then keep its CPU build. Python compiles what it imports; compiling all
# that is installed takes longer.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --no-compile torch==2.13.0
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $@
