# `make demo` runs the main job on simulated data, `make test` passes the tests, documentation and wheel among them.
# Both first build a clean virtual environment in .venv from pyproject.toml and constraints.txt.
# Tests are several processes that import the same: what Python compiled is kept, whatever the caller's settings.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint docs wheel clean

demo: .venv/done
	$(BIN)/grnrep demo --overwrite

test: .venv/done
	$(BIN)/ruff check .
	$(BIN)/mypy grnrep
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lint: .venv/done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/done
	$(BIN)/python -m sphinx -W --keep-going -c docs . docs/_build

# the built wheel, installed into an empty environment; needs a package index
wheel: .venv/done
	$(BIN)/python tests/project/wheel_alone.py

.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "grnrep needs Python 3.11 or newer; found %s. Set PYTHON=..." % sys.version.split()[0])'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable . --group test
	$(BIN)/grnrep compile
	touch $@

clean:
	rm -rf .venv grnrep_demo docs/_build docs/api
