# Set-up is part of every target and is skipped when nothing changed.
#   make demo    the whole loop on a rendered world, with a report page at the end
#   make test    everything: checks, real servers, real training, a real browser, and the demo in its quick form
#   make check   about a minute and a half: ruff, import rules, mypy --strict, fast tests
#   make docs    the documentation as a site (site/index.html); a dead link fails it
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
PY := .venv/bin/python
LOCK := requirements/lock.txt
STAMP := .venv/.ready

.PHONY: demo test check docs setup label-studio browser clean

demo: setup label-studio
	$(PY) -P -m loop.cli demo

test: check label-studio browser
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --side-by-side \
		-m "slow or studio or browser" --timeout 900 --durations=40

check: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/lint-imports
	$(PY) -m mypy
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 -m "not slow and not studio and not browser"

docs: setup
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "open site/index.html; to search it as well: $(PY) -m http.server --directory site"

setup: $(STAMP)

$(STAMP): $(LOCK) pyproject.toml
	@test -n "$(PYTHON)" || { echo "expected Python 3.11 or newer, found none; install it or run make PYTHON=/path/to/python"; exit 1; }
	@echo "Set-up (some minutes, once): creating .venv with $(PYTHON) and installing the pinned dependencies of $(LOCK)"
	@test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(LOCK)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

label-studio: setup
	$(PY) -P -m loop.cli labelstudio install

browser:
	@command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || sh tests/install_chromium.sh

clean:
	rm -rf .venv build dist site *.egg-info
