# Each target installs what it needs into .venv; `make PYTHON=python3.13 …` takes another interpreter for it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 3
STAMP := $(VENV)/.installed
# The demo needs the package alone: a first look does not wait for what tests need.
BARE := $(VENV)/.bare

# The tests start hundreds of processes: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test chaos check docs bench tox messages dist clean

demo: $(firstword $(wildcard $(STAMP)) $(BARE))  ## The main job, end to end, on SQLite: counts a source tree in the background
	$(BIN)/python example_project/demo.py

test: $(STAMP)  ## All tests, on real servers
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

chaos: $(STAMP)  ## 20,000 tasks on each store while everything is killed (ARGS="CHAOS_TASKS=5000 CHAOS_STORE=redis REINHARDT_TEST_SEED=7")
	env CHAOS_TASKS=20000 $(ARGS) $(BIN)/python -m pytest tests/acceptance/chaos

check: $(STAMP)  ## Lint, format, types, missing migrations, the manual
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m django makemigrations --check --dry-run
	cd example_project && ../$(BIN)/python manage.py makemigrations --check --dry-run
	$(MAKE) --no-print-directory docs

docs: $(STAMP)  ## The manual as a site, in build/docs; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -n --quiet -d build/doctrees docs build/docs

bench: $(STAMP)  ## Against peers, in one run, as ratios (peers in environments of their own)
	$(BIN)/python -m benchmarks $(ARGS)

tox: $(STAMP)  ## Python 3.11-3.13 with Django 5.2, 6.0, 6.1
	PATH="$$PATH:$$(echo $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.1[23].*/bin | tr ' ' ':')" $(BIN)/tox $(ARGS)

messages: $(STAMP)  ## Collect the messages to translate, and compile the translations (needs gettext)
	cd reinhardt_tasks && ../$(BIN)/python -m django makemessages -l ja --no-obsolete --add-location=file && ../$(BIN)/python -m django compilemessages

dist: $(STAMP)  ## Wheel and source archive, as they are published
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) .tox build dist .mypy_cache .ruff_cache .pytest_cache

$(BARE): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $(BARE)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,redis-fast]'
	touch $(STAMP)
