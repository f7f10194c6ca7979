# Two commands on a fresh machine: `make campaign` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# No telemetry, and a temporary Prefect server may take long to start on two cores.
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export NO_MKDOCS_2_WARNING := 1
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 600

PYTEST := $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 30 --durations-min 5

.PHONY: campaign test test-long docs lint install pretrain gpu clean

campaign: $(VENV)/.installed
	$(BIN)/fire campaign run examples/licl_gaf3.yaml
	@echo "Results: results/licl-gaf3/report.html and results/licl-gaf3/results.json"

# The documentation is built, strictly, by one of the tests.
test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(PYTEST) -m "not long"

# What takes minutes each: campaigns that are killed, a service that is broken on purpose,
# electronic-structure programs. CI runs both.
test-long: $(VENV)/.installed-dev
	$(PYTEST) -m long

# Into build/docs/index.html; every warning is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m mkdocs build --strict

lint: $(VENV)/.installed-dev
	$(BIN)/pre-commit run --all-files

install: $(VENV)/.installed

# Rebuilds the bundled foundation model; hours on a CPU. See pretraining/README.md.
pretrain: $(VENV)/.installed
	$(BIN)/python -m pretraining --workdir build/pretraining

# On a machine with a GPU and torch's CUDA build: what is measured goes to
# benchmarks/RESULTS.md. A rehearsal without one: python -m benchmarks.gpu --device cpu --quick
gpu: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.gpu

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing FIRE into $(VENV): some 2.5 GB, three minutes or, on a busy machine, twenty."
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
