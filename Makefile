# Every target is idempotent. PYTHON, PIP_ARGS and XFER_OUTPUTS may be given on the command line.
PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
STRIP := $(BIN)/nbstripout --extra-keys "metadata.papermill cell.metadata.papermill cell.metadata.execution"

.PHONY: help study alternatives extensions extensions-full smoke encoders sample docs test test-slow test-all test-faults lab lint format

help:  ## prints these lines
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 24

study: $(STAMP)  ## the paper's main table in the toy world, and its report
	$(BIN)/xfer run params/toy.yaml
	$(BIN)/xfer report params/toy.yaml

alternatives: $(STAMP)  ## what else phase 2 could do, and its controls
	$(BIN)/xfer run params/alternatives.yaml
	$(BIN)/xfer report params/alternatives.yaml

EXTENSIONS := $(patsubst %,params/%.yaml,similarity scaling multilingual few_shot typology)

extensions: $(STAMP)  ## the five questions in their reduced form, and their reports
	set -e; for file in $(EXTENSIONS); do $(BIN)/xfer run $$file; $(BIN)/xfer report $$file; done

extensions-full: extensions  ## and the larger forms of questions 2 and 4, an hour and a half more
	set -e; for file in scaling-full few_shot-full; do \
		$(BIN)/xfer run params/$$file.yaml; $(BIN)/xfer report params/$$file.yaml; done

smoke: $(STAMP)  ## everything once, in about a minute
	$(BIN)/xfer run params/smoke.yaml
	$(BIN)/xfer report params/smoke.yaml

encoders: $(STAMP)  ## the shipped encoders, made again
	$(BIN)/xfer run params/toy-encoder.yaml
	$(BIN)/papermill notebooks/15_ship_encoders.ipynb outputs/toy-encoder/15_ship_encoders.ipynb -p ship True
	$(BIN)/xfer run params/many-encoder.yaml
	$(BIN)/papermill notebooks/15_ship_encoders.ipynb outputs/many-encoder/15_ship_encoders.ipynb \
		-p study_dir outputs/many-encoder -p name many0 -p ship True
	$(BIN)/xfer run params/ladder-encoder.yaml
	$(BIN)/papermill notebooks/15_ship_encoders.ipynb outputs/ladder-encoder/15_ship_encoders.ipynb \
		-p study_dir outputs/ladder-encoder -p name "" -p ship True

sample: $(STAMP)  ## the report in outputs/sample, made again
	$(BIN)/xfer run $(or $(STUDY),params/toy.yaml)
	$(BIN)/xfer report $(or $(STUDY),params/toy.yaml) --sample
	$(BIN)/python docs/sample.py $(or $(STUDY),params/toy.yaml)
	$(BIN)/python docs/make.py

docs: $(STAMP)  ## the generated pages in docs/, made again
	$(BIN)/python docs/make.py

test: $(STAMP)  ## the fast tests
	$(BIN)/python -m pytest -m "not slow and not faults"

test-slow: $(STAMP)  ## the tests that train and render
	$(BIN)/python -m pytest -m slow

test-all: test test-slow  ## all tests

test-faults: $(STAMP)  ## mutated studies by the thousand, thirty kills; a quarter of an hour
	XFER_MUTATIONS=1000 $(BIN)/python -m pytest tests/study/test_bad_input.py
	$(BIN)/python -m pytest -m faults
	$(BIN)/python tests/kills.py 30

lab: $(STAMP)  ## opens JupyterLab
	$(BIN)/jupyter lab --notebook-dir=.

lint: $(STAMP)  ## checks code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(STRIP) --verify $(NOTEBOOKS)

format: $(STAMP)  ## sets code and strips notebooks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(STRIP) $(NOTEBOOKS)

# Every file is checked against its hash but those of PyTorch, whose builds differ by index: the second line installs
# it, and what it brings. The lock holds everything else, so the package looks for no dependencies.
$(STAMP): requirements.txt requirements.hashes.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.hashes.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt $(PIP_ARGS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)
