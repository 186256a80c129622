# Every target is idempotent. PYTHON, PIP_ARGS and XFER_OUTPUTS may be given on the command line.
PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
STRIP := $(BIN)/nbstripout --extra-keys "metadata.papermill cell.metadata.papermill cell.metadata.execution"

.PHONY: study smoke encoders test test-slow test-all lab lint format

study: $(STAMP)
	$(BIN)/xfer run params/toy.yaml
	$(BIN)/xfer report params/toy.yaml

smoke: $(STAMP)
	$(BIN)/xfer run params/smoke.yaml
	$(BIN)/xfer report params/smoke.yaml

encoders: $(STAMP)
	$(BIN)/xfer run params/toy-encoder.yaml
	$(BIN)/papermill notebooks/15_ship_encoders.ipynb outputs/toy-encoder/15_ship_encoders.ipynb -p ship True

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

test-all: test test-slow

lab: $(STAMP)
	$(BIN)/jupyter lab --notebook-dir=.

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(STRIP) --verify $(NOTEBOOKS)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(STRIP) $(NOTEBOOKS)

# The lock holds everything, so the package itself is installed without looking for dependencies.
$(STAMP): requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt $(PIP_ARGS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)
