# `make run` and `make test` do all the set-up themselves.
PYTHON ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup run test check audit contracts chaos lock clean

help: ## Show the targets.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: ## Create .venv and install the locked packages; quick when nothing changed.
	@tools/setup.sh $(PYTHON)

run: setup ## Run everything on an embedded broker, with a live view; Ctrl-C ends it.
	@$(BIN)/stream-app demo $(ARGS)

# By name, so that the longest files (tests/broker) come first: by default those with few tests are last.
test: setup ## Run the tests, four files at a time: many of them wait.
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## Run the static checks: formatting, lint, types, directions of import.
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: setup ## Look up the locked packages in the advisory database, where it can be reached.
	@tools/audit.sh

contracts: setup ## Write docs/asyncapi.yaml and docs/contracts/*.schema.json anew.
	@$(BIN)/stream-app contracts export docs

chaos: setup ## Run the long fault tests, an hour, and write their figures into docs/reliability.md.
	@$(BIN)/python tools/chaos.py $(ARGS)

lock: ## Write the lock files anew, with the newest versions that pyproject.toml allows.
	@tools/lock.sh $(PYTHON)

clean: ## Remove the virtual environment and the caches.
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
