# Set-up, demo and tests of a checkout. Each target installs what it needs; `make help` lists them.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: help demo test test-unit test-slow bench lint format docs lock clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-10s  %s\n", $$1, $$2 }'

demo: $(VENV)/.installed ## run an example twice on a local stand-in for AWS (Docker, 2 min)
	$(VENV)/bin/covalent-lambda demo examples/iris_svm.py

test: $(VENV)/.installed ## run all tests but the long ones (Docker, 15 min)
	$(RUN) -m pytest -m "not slow" --durations=10

test-unit: $(VENV)/.installed ## run the unit tests (1 min)
	$(RUN) -m pytest tests/unit

test-slow: $(VENV)/.installed ## run fault injection and bulk tests (Docker, 30 min)
	$(RUN) -m pytest -m slow

bench: $(VENV)/.installed ## measure all figures, or some with ONLY=warm,cold (Docker, 30 min)
	$(RUN) -m bench $(if $(ONLY),--only $(ONLY))

lint: $(VENV)/.installed ## check style, formatting and types, as CI does (20 s)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.installed ## format the code and fix what ruff can fix
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.installed ## write what scripts produce, and build the site with its links checked
	$(RUN) docs/make_options.py > docs/options.md
	$(RUN) docs/make_options.py --executor
	$(RUN) docs/draw_electron.py > docs/electron.svg
	$(RUN) docs/draw_folders.py > docs/folders.svg
	$(RUN) docs/draw_benchmarks.py > docs/benchmarks.svg
	$(RUN) docs/make_cost.py > docs/cost.md
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

# Rewrites the lock from pyproject.toml; it names versions and no addresses.
lock: $(VENV)/.installed ## rewrite requirements.lock from pyproject.toml
	$(RUN) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --upgrade \
		--no-header --no-emit-index-url --no-emit-find-links \
		--extra local --extra report --extra dev pyproject.toml --output-file requirements.lock

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

clean: ## remove .venv and the files of the local stack
	rm -rf $(VENV) .local-stack site
