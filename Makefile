# make demo: set up and serve.  make test: set up and test.  make check: every gate.
PYTHON ?= python3
DEMO ?= demos/disease.toml
HOST ?= 127.0.0.1
PORT ?= 7860
HOME_DIR ?=
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: install demo test check lint types walls docs screenshots audit clean

install: .venv/runtime .venv/development

.venv/runtime: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.11 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv/development: .venv/runtime requirements-dev.txt
	$(BIN)/python -m pip install --quiet -r requirements.txt -r requirements-dev.txt
	@touch $@

demo: .venv/runtime
	HF_HUB_OFFLINE=1 $(BIN)/python app.py $(DEMO) --host $(HOST) --port $(PORT) $(if $(HOME_DIR),--home $(HOME_DIR))

test: install
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n 2 --dist loadscope $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

walls: install
	$(BIN)/lint-imports

check: lint types walls test

screenshots: install
	HF_HUB_OFFLINE=1 $(BIN)/python docs/screenshots.py

# Known holes in what the app runs on. It needs the network: a line about which nobody can say anything fails it too.
audit: .venv/runtime
	@test -x .venv/audit/bin/pip-audit || { $(PYTHON) -m venv .venv/audit && .venv/audit/bin/python -m pip install --quiet pip-audit==2.10.1; }
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement requirements.txt
	.venv/audit/bin/pip-audit --strict --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
