# One word per habit. `make quickstart` and `make test` need only Python 3.11+, git and make.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-all check audit docs format dist clean

quickstart: .venv/ready  ## train a small ladder, hide its largest run, forecast it, write a report
	$(BIN)/scaling study quickstart

# Where bytecode is not kept, every process of the tests would compile the sources anew.
test test-all: export PYTHONDONTWRITEBYTECODE =

test: check  ## lint, types and the fast tests: what CI runs
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-all: check  ## the slow tests too
	$(BIN)/python -m pytest -q -m "slow or not slow"

check: .venv/ready  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2

audit:  ## compare the pinned versions with published advisories; needs the internet
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

docs: .venv/docs  ## these documents as pages, in build/docs
	$(BIN)/python -m docs.generate
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

format: .venv/ready  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dist: .venv/ready  ## the wheel and the source distribution, in dist/
	rm -rf build dist *.egg-info  # what an earlier build left would come along
	$(BIN)/python -m build

clean:  ## remove what the build made; runs and databases stay
	rm -rf .venv build dist *.egg-info

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch .venv/ready

.venv/docs: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch .venv/docs
