# make demo: set up, train four small models on real text, print where diffusion overtakes AR.
# make quick: the tests that train nothing and need no package of the system, in about 4 minutes.
# make test: set up, check style and types, run all the tests but the long ones.
# make test-long: the tests that take minutes each.
# make lint: check style, types and the direction of imports.
# make docs: write the generated pages of docs/ again, and build them as a site in build/site.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo quick test test-long lint docs browser slurm clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# torch alone first: pip keeps what it downloads until all of it is installed, 2.6 GB for torch.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/workbench run quickstart
	$(BIN)/workbench crossover quickstart --metric val_loss

quick: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not (training or browser or slurm or system or slow or long)"

test: setup lint browser slurm
	$(BIN)/python -m pytest -n 2

test-long: setup
	$(BIN)/python -m pytest -n 2 -m long

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: setup
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "Open build/site/index.html, or for search: python -m http.server --directory build/site"

# The tests look at the app in a real browser.
browser:
	@test -x /usr/bin/chromium || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
		|| { echo "/usr/bin/chromium is missing: install the system's package chromium, then run make test again." >&2; exit 2; }

# They also submit to a real Slurm, which each test session starts for itself on this machine.
slurm:
	@{ command -v sbatch && command -v munge; } >/dev/null \
		|| { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; } \
		|| { echo "Slurm is missing: install the system's packages slurm-wlm and munge, then run make test again." >&2; exit 2; }

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
