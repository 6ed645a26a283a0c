# Set-up, demo and tests of a checkout. `make demo` and `make test` do everything themselves.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test test-unit test-slow bench lint docs lock clean

demo: $(VENV)/.installed
	$(VENV)/bin/covalent-lambda demo examples/iris_svm.py

test: $(VENV)/.installed
	$(RUN) -m pytest -m "not slow" --durations=10

test-unit: $(VENV)/.installed
	$(RUN) -m pytest tests/unit

test-slow: $(VENV)/.installed
	$(RUN) -m pytest -m slow

# All figures take about half an hour; `make bench ONLY=warm,cold` takes some.
bench: $(VENV)/.installed
	$(RUN) -m bench $(if $(ONLY),--only $(ONLY))

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Writes the pages and pictures that scripts make.
docs: $(VENV)/.installed
	$(RUN) docs/make_options.py > docs/options.md
	$(RUN) docs/make_options.py --executor
	$(RUN) docs/draw_electron.py > docs/electron.svg

# Rewrites the lock from pyproject.toml; it names versions and no addresses.
lock: $(VENV)/.installed
	$(RUN) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --upgrade \
		--no-header --no-emit-index-url --no-emit-find-links \
		--extra local --extra dev pyproject.toml --output-file requirements.lock

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) .local-stack
