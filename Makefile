# make demo | make test | make lint. Everything is installed into .venv; nothing else is touched.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lib preprocessing *.py

test: .venv/ready-dev
	$(BIN)/python -m pytest -q -n 2

clean:
	rm -rf .venv demo
