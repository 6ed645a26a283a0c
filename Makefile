# Set-up, demo and tests of a checkout. Each target installs what it needs; `make help` lists them.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# moto needs other versions of what the package needs, so it has a virtual environment of its own.
MOTO := .venv-moto

.PHONY: help demo test test-unit test-pythons test-engines test-slow soak bench lint format docs lock clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-12s  %s\n", $$1, $$2 }'

demo: $(VENV)/.installed ## run an example on a local stand-in for AWS, with and without Docker (3 min)
	$(VENV)/bin/covalent-lambda demo examples/iris_svm.py

test-unit: $(VENV)/.installed ## run the unit tests (4 min)
	$(RUN) -m pytest -n auto tests/unit

test: $(VENV)/.installed $(MOTO)/.installed ## run all tests but the long ones (Docker, 14 min)
	$(RUN) -m pytest -n auto --durations=10 tests/unit
	$(RUN) -m pytest -n 2 --dist loadfile --share-engine -m "not slow" --durations=10 tests/contract tests/integration tests/e2e

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

test-slow: $(VENV)/.installed $(MOTO)/.installed ## run fault injection, bulk tests and a soak (Docker, 20 min)
	$(RUN) -m pytest -m "slow$(if $(WITHOUT), and not $(WITHOUT))"

test-engines: $(VENV)/.installed ## run engine tests on newer Docker and podman (root, Debian, 10 min)
	$(RUN) tests/engines.py $(ONLY)

test-pythons: $(VENV)/.installed ## run the unit tests on Python 3.10 to 3.14 and the oldest libraries (10 min)
	$(RUN) tests/pythons.py $(ONLY)

soak: $(VENV)/.installed ## run tasks while everything breaks, MINUTES=20, SEED=n (Docker)
	$(RUN) -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.installed ## measure all figures, or some with ONLY=warm,cold (Docker, 30 min)
	$(RUN) -m bench $(if $(ONLY),--only $(ONLY))

# Rewrites the lock from pyproject.toml; it names versions and no addresses.
lock: $(VENV)/.installed ## rewrite requirements.lock from pyproject.toml
	$(UV) pip compile --quiet --universal --python-version 3.10 --upgrade \
		--no-header --no-emit-index-url --no-emit-find-links \
		--extra local --extra report --extra dev pyproject.toml --output-file requirements.lock

clean: ## remove the virtual environments and the files of the local stack
	rm -rf $(VENV) $(VENV)-* .local-stack .engines site

# uv installs in seconds what pip takes minutes for. Where it cannot, since it does not read pip's
# configuration, pip does, and shows what it is doing.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ;]*\).*/\1/p' requirements.lock)"
	$(UV) pip install --python $(RUN) -r requirements.lock \
		|| $(RUN) -m pip install --disable-pip-version-check -r requirements.lock
	$(UV) pip install --python $(RUN) --no-deps --editable . \
		|| $(RUN) -m pip install --disable-pip-version-check --no-deps --editable .
	touch $@

$(MOTO)/.installed: $(VENV)/.installed
	$(PYTHON) -m venv $(MOTO)
	$(UV) pip install --python $(MOTO)/bin/python "moto[server]>=5" \
		|| $(MOTO)/bin/python -m pip install --disable-pip-version-check "moto[server]>=5"
	touch $@
