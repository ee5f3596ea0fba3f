# make run [CATALOG=folder] [SAMPLE=n]   the whole migration: of a folder of listings, of a drawn sample of n, or, with
#                                        neither, of what was migrated before (in an empty home the whole drawn sample)
# make test                              the tests
# make serve                             the search API, and the page on what was migrated
# make ui                                the Dagster UI
# make docs                              the documentation, as pages in build/site; a link that leads nowhere fails
# make lint                              formatting, lint, types, Dagster's definitions
# make lock                              resolve every package anew
# make clean                             delete what can be made again: environment, caches; never a database

SHELL := /bin/sh
.DEFAULT_GOAL := run
.PHONY: run test serve ui docs lint lock install clean

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := .venv/.installed

# The first one that is Python 3.11, whatever it is called here.
PYTHON ?= $(shell for python in python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$python && break; done)

run: $(INSTALLED)
	$(BIN)/fashion-assets run $(if $(CATALOG),--catalog "$(CATALOG)") $(if $(SAMPLE),--sample $(SAMPLE))

# Compiled first: a shell may keep Python from it, and hundreds of processes of the tests would do it for themselves.
test: $(INSTALLED)
	$(BIN)/python -m compileall -q fashion_assets
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

serve: $(INSTALLED)
	$(BIN)/fashion-assets serve

ui: $(INSTALLED)
	$(BIN)/fashion-assets ui

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/dg check defs
	$(BIN)/dg list defs > /dev/null

install: $(INSTALLED)

# The stamp is as old as what is installed: a second `make` installs nothing. Compiled here, the package starts as quickly for who
# may not write to its folder, or keeps Python from it.
$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed, as python3.11 or python3: see python.org" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --requirement requirements.lock
	$(PIP) install --quiet --no-deps --editable .
	$(BIN)/python -m compileall -q fashion_assets
	@touch $@

# In an empty environment, so that nothing is in the lock but what the project asks for.
lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet '.[test]'
	{ sed -n '/^#/p' requirements.lock; .venv-lock/bin/python -m pip freeze --all --exclude fashion-assets --exclude pip \
		| sed 's/+[a-z0-9.]*$$//' | sort -f; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-lock .pytest_cache .ruff_cache .hypothesis build dist
	find fashion_assets fashion_assets_tests -name __pycache__ -type d -prune -exec rm -rf {} +
