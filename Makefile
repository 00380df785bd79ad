# One word per task. `make demo` and `make test` do everything on a fresh machine.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.dev-ready
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
  --constraint constraints.txt --editable

# Two processes, each with one thread: more only wait for each other on two cores.
# Which tests may run beside each other: tests/conftest.py.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup \
  --no-loadscope-reorder

.PHONY: demo test test-rest test-all check format reproduce results gallery constraints clean

demo: $(READY)  ## train the first look at the paper's claims on digits, print its table
	$(BIN)/d2v run first_look --modality vision --scale smoke

test: $(DEV)  ## everything in a few minutes: one small study really runs
	$(PYTEST) -m "not thorough" $(PYTEST_ARGS)

test-rest: $(DEV)  ## what test leaves out: faults, clusters, servers, browser, studies
	$(PYTEST) -m thorough $(PYTEST_ARGS)

test-all: test test-rest  ## both

check: $(DEV)  ## format, lint and types, as strict as they come
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV)  ## put the code into the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# One study from nothing in a new folder; fails where a verdict is another one.
STUDY ?= layer_averaging
MODALITY ?= vision
SCALE ?= smoke
RECORDS ?= docs/results/records.parquet
PLACE = $(STUDY) --modality $(MODALITY) --scale $(SCALE) --storage "$$storage"

reproduce: $(READY)  ## STUDY= MODALITY= [SCALE= SEEDS=]: run it again, say what agrees
	mkdir -p d2v-runs && storage=$$(mktemp -d d2v-runs/reproduce-XXXXXX) && unset MLFLOW_TRACKING_URI && \
	  $(BIN)/d2v run $(PLACE) $(SEEDS:%=--seeds %) && $(BIN)/d2v report $(PLACE) --compare $(RECORDS)

results: $(READY)  ## docs/results/ anew from its records: tables, verdicts, pictures
	$(BIN)/python -m reports.results docs/results

gallery: $(DEV)  ## the pictures of the documents anew (needs Chromium)
	$(BIN)/python -m tests.gallery docs/images
	D2V_SCREENSHOTS=$(CURDIR)/docs/images $(BIN)/python -m pytest -q -m thorough \
	  tests/sweeps/tracking/test_mlflow_ui.py

constraints: $(DEV)  ## write down the versions installed here
	{ echo "# Exact versions of everything in the environment: pip install -c constraints.txt."; \
	  echo "# Made by: make constraints"; \
	  $(BIN)/pip freeze --exclude-editable; } > constraints.txt

clean:  ## remove everything that was made here
	rm -rf $(VENV) d2v-runs build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11 to 3.13 is needed; try: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[report]'
	touch $(READY)

$(DEV): $(READY)
	$(INSTALL) '.[dev]'
	touch $(DEV)
