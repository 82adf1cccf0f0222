# The one front door. On a bare machine with Python 3.11, make and git, every target first makes .venv from requirements.lock.
# PYTHON=... chooses the Python; ARGS=... goes to the command; WORKERS=0 runs tests in one process.

BIN     := .venv/bin
UV      := $(BIN)/uv pip
READY   := .venv/.ready
LOCKED  := .venv/.locked
TOOLED  := .venv/.tooled
NAME    ?= activation
WORKERS ?= 2
COMPILE := compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url $(UPGRADE)
SPREAD   = $(if $(filter 0,$(WORKERS)),,-n $(WORKERS) --dist loadgroup)
# Each part's output in one piece, where this make can do that (GNU make 4); `fast` alone speaks as it goes.
PIECES   = $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# Python code that is compiled again at each start costs a second of each command and ten of the tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format prove bench docs lock clean setup formatted lint types layers fast quick

help: ## list what can be asked for
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## run the firm Northbeam Consulting: deals are won, projects activate, an outage strikes and heals (ARGS=--headless)
	@$(BIN)/concordat demo $(ARGS)

test: $(READY) ## run all tests; says what was skipped and how to get it (CONCORDAT_TEST_ALL=1 makes a skip a failure)
	@$(BIN)/pytest $(SPREAD) $(ARGS)

check: $(READY) ## format, lint, types, layers and the fast tests: all faults at once, under a minute
	@$(MAKE) --no-print-directory --keep-going --jobs 5 $(PIECES) types formatted lint layers fast

format: $(READY) ## write the code in the one format, with the safe fixes of the linter
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

prove: $(READY) ## run seeded worlds with faults against every promise (ARGS="--seeds 1-100")
	@$(BIN)/concordat prove $(ARGS)

bench: $(READY) ## measure one number beside its yardstick in the same run (NAME=activation)
	@$(BIN)/concordat bench $(NAME) $(ARGS)

docs: $(READY) ## write again what is generated in docs/
	@$(BIN)/python scripts/docs.py

lock: $(TOOLED) ## resolve pyproject.toml into requirements.lock (UPGRADE=-U for newer releases)
	@$(UV) $(COMPILE) pyproject.toml --group dev --all-extras -o requirements.lock
	@$(UV) $(COMPILE) scripts/bootstrap.in -c requirements.lock --no-annotate -o scripts/bootstrap.lock

clean: ## remove the environment, caches and what a demo left behind
	@rm -rf .venv .concordat .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

setup: $(READY) ## make .venv and nothing else

# The parts of `check`, side by side.
formatted: $(READY)
	@$(BIN)/ruff format --check .

lint: $(READY)
	@$(BIN)/ruff check .

types: $(READY)
	@$(BIN)/mypy

layers: $(READY)
	@$(BIN)/lint-imports

fast: $(READY)
	@$(MAKE) --no-print-directory $(if $(PIECES),--output-sync=none) quick

quick:
	@$(BIN)/pytest -q -m "not slow" $(SPREAD) $(ARGS)

# The environment, in three steps, each done again only when what it reads has changed.
$(TOOLED): scripts/bootstrap.lock scripts/bootstrap.sh
	@scripts/bootstrap.sh $(PYTHON)
	@touch $@

$(LOCKED): requirements.lock $(TOOLED)
	@echo "Installing what requirements.lock names." >&2
	@$(UV) install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	@touch $@

$(READY): pyproject.toml $(LOCKED)
	@$(UV) install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
