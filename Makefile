# `make train` and `make test` do all the set-up: in the active virtual environment, or in .venv where none is active.
PYTHON ?= python3
ENV := $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)
BIN := $(ENV)/bin
PLUGINS := -e plugins/mmsa-corrkd -e plugins/mmsa-dmd
SETTINGS := pyproject.toml plugins/mmsa-corrkd/pyproject.toml plugins/mmsa-dmd/pyproject.toml constraints.txt

.PHONY: train test test-core check format recipes docs bench soak

train: $(ENV)/.mmsa-run
	$(BIN)/mmsa train recipes/corrkd.yaml

test: $(ENV)/.mmsa-dev
	OMP_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

# As if no plugin were installed: tests that need one skip and say so.
test-core: $(ENV)/.mmsa-dev
	MMSA_PLUGINS_BLOCK=mmsa-corrkd,mmsa-dmd OMP_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/python -m pytest tests -n auto --maxprocesses 8 --dist loadfile

check: $(ENV)/.mmsa-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(ENV)/.mmsa-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What the wheels carry are copies; `make test` holds them equal.
recipes:
	for copy in mmsa_core/recipes/shipped/*.yaml plugins/*/mmsa_*/recipes/*.yaml; do cp recipes/$${copy##*/} $$copy; done

docs: $(ENV)/.mmsa-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(ENV)/.mmsa-run
	$(BIN)/python bench/train.py
	$(BIN)/python bench/dmd.py
	$(BIN)/python bench/data.py
	$(BIN)/python bench/evaluation.py

soak: $(ENV)/.mmsa-run
	$(BIN)/python bench/soak.py

$(BIN)/python:
	$(PYTHON) -m venv $(ENV)

$(ENV)/.mmsa-run: $(SETTINGS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . $(PLUGINS)
	touch $@

$(ENV)/.mmsa-dev: $(SETTINGS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' $(PLUGINS)
	touch $@ $(ENV)/.mmsa-run
