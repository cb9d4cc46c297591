# `make help` lists what there is. Needs make, and Python 3.11 or newer as python3 (or PYTHON=/path/to/python).

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test
INSTALLED_DOCS := $(VENV)/.installed-docs

# Most tests wait for a process of the command line, and some for a clock: three at a time keep two cores busy.
TEST_PROCESSES ?= 3

.DEFAULT_GOAL := help
# Resemble's Chatterbox as published, without the old versions (torch 2.6 and others) that it asks for.
RESEMBLE := chatterbox-tts==0.1.7 s3tokenizer==0.3.0 resemble-perth==1.0.1 conformer==0.3.2 diffusers==0.29.0

# What evaluation hears with, without the torchaudio and the compiler that they ask for and do not need.
EARS := distillmos==0.9.1 xls-r-sqa==0.1.0 resemblyzer==0.1.4

# Minutes of `make demo`: of phase 4_3 and its vocoder where a base voice comes along, else of 4_2 first.
DEMO_MINUTES := $(if $(wildcard chatterbox_es/weights/voice_base.safetensors),4 0,1.5 3 0)

.PHONY: help install wheel demo chatterbox ears test typecheck test-slow test-lowest docs clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

install: $(INSTALLED) ## the environment in .venv, with the package in it

wheel: | $(VENV)/bin/python ## an installation file in dist/ that needs no clone
	$(VENV)/bin/python -m pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir dist .

demo: $(INSTALLED) ## train a small voice on Kokoro's speech, which comes along, and let it speak (5 minutes of training or less)
	PYTHON=$(VENV)/bin/python scripts/train_voice.sh demo $(DEMO_MINUTES)

chatterbox: $(INSTALLED) ## what model=chatterbox needs; your torch stays as it is
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -e ".[chatterbox]"
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps $(RESEMBLE)

ears: $(INSTALLED) ## what python -m chatterbox_es.evaluate needs: predictors of quality, speaker similarity, WORLD
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -e ".[evaluate]"
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps $(EARS)

test: $(INSTALLED_TEST) typecheck ## lint, types, and the tests that take seconds
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports --no-logo --no-cache
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -m "not slow" -n $(TEST_PROCESSES) --dist loadfile

typecheck: $(INSTALLED_TEST) ## the type checker over the package
	$(VENV)/bin/mypy

test-slow: $(INSTALLED_TEST) ## the tests that train or measure for minutes
	$(VENV)/bin/python -m pytest -m slow --timeout=3600

test-lowest: | $(VENV)/bin/python ## the fast tests with the oldest dependencies that setup.cfg allows, in .venv-lowest
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet setuptools packaging
	$(VENV)/bin/python -m venv .venv-lowest
	$(VENV)/bin/python scripts/lower_bounds.py > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --disable-pip-version-check --quiet -c .venv-lowest/lowest.txt -e ".[test]"
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -m "not slow" -n $(TEST_PROCESSES) --dist loadfile

docs: $(INSTALLED_DOCS) ## the guides as a site in site/; a broken link is an error
	$(VENV)/bin/properdocs build --strict --quiet

clean: ## remove the environment and what tools have cached; runs in outputs/ stay
	rm -rf $(VENV) .venv-lowest build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find chatterbox_es tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp, so that a second call costs nothing; made again when the dependencies may have changed.
$(INSTALLED): setup.cfg pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -e .
	@touch $@

$(INSTALLED_TEST): setup.cfg pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -e ".[test]"
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps $(RESEMBLE) $(EARS)
	@touch $(INSTALLED) $@

$(INSTALLED_DOCS): setup.cfg pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -e ".[docs]"
	@touch $(INSTALLED) $@

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON). Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); 3.11 or newer is needed." >&2; \
	  echo "Install one, or name one that is there: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) -m venv does not work. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Environment in $(VENV); packages are installed now: a few minutes, once."
