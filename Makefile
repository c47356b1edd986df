# `make` lists the verbs. Everything but image and load works without Nix; inside `nix develop`
# the tools on PATH are used and nothing is installed.

.DEFAULT_GOAL := help
export APP_ENV ?= local
export UV_PYTHON_DOWNLOADS := never
# Whom the machine trusts, as pip does: uv's own list knows no authority of a company's proxy.
export UV_SYSTEM_CERTS ?= true

ifdef IN_NIX_SHELL
BIN :=
ENVIRONMENT :=
else
BIN := .venv/bin/
ENVIRONMENT := .venv/.synced
endif

.PHONY: help
help: ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 - \2/p' Makefile

.PHONY: serve
serve: $(ENVIRONMENT) ## run the service here: SQLite, Redis in the process, nothing to fill in
	$(BIN)groundwork serve

.PHONY: test
test: $(ENVIRONMENT) ## run the tests; those that need MariaDB or Redis say so when it is missing
	$(BIN)coverage erase
	$(BIN)coverage run -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile
	$(BIN)coverage combine --quiet
	$(BIN)coverage report

.PHONY: lint
lint: $(ENVIRONMENT) ## format, lint, types, imports
	$(BIN)ruff format --check .
	$(BIN)ruff check .
	$(BIN)mypy
	$(BIN)lint-imports

.PHONY: check
check: lint test ## lint and tests: what must be green to land

.PHONY: fmt
fmt: $(ENVIRONMENT) ## format the code and mend what the linter can
	$(BIN)ruff format .
	$(BIN)ruff check --fix .

.PHONY: migrate
migrate: $(ENVIRONMENT) ## bring the database to this release's schema
	$(BIN)groundwork migrate

.PHONY: acceptance
acceptance: $(ENVIRONMENT) ## run the acceptance suite on processes of this machine
	$(BIN)python -m tests.system.acceptance.local

.PHONY: faults
faults: $(ENVIRONMENT) ## run jobs on whole installations whose parts are killed; minutes
	$(BIN)python -m pytest -m faults tests/system/jobs

.PHONY: services
services: $(ENVIRONMENT) ## start a database and a Redis with throw-away data; prints the settings for them
	$(BIN)python -m tests.services

.PHONY: bench
bench: $(ENVIRONMENT) ## measure against bare FastAPI; needs wrk, MariaDB, Redis and two cores
	$(BIN)python -m tests.benchmarks

.PHONY: profile
profile: $(ENVIRONMENT) ## where the time of a trivial request goes; needs py-spy and wrk
	$(BIN)python -m tests.benchmarks.hot_path

.PHONY: image
image: ## build the OCI image with Nix: ./result
	nix build .#image

.PHONY: load
load: image ## load the image into docker or podman
	"$$(command -v docker || command -v podman || echo docker)" load --input result

.PHONY: rename
rename: ## make it your own service: make rename NAME=order-desk
	@python3 nix/rename.py "$$NAME"

# --- the environment without Nix ------------------------------------------------------------

# The first Python that is new enough; uv is told to use it and never to download one.
FIND_PYTHON := for python in python3 python3.12 python3.13 python3.14; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null \
	&& command -v "$$python" && exit; done; \
	echo "groundwork needs Python 3.12 or newer: install python3.12 (Debian 13: apt install python3)" >&2; \
	exit 1

.venv/.synced: pyproject.toml uv.lock
	@python="$$($(FIND_PYTHON))" || exit 1; \
	for uv in uv .uv/bin/uv; do "$$uv" --version >/dev/null 2>&1 && break; done; \
	if ! "$$uv" --version >/dev/null 2>&1; then \
		echo "fetching uv into .uv"; \
		"$$python" -m pip install --quiet --disable-pip-version-check \
			--root-user-action ignore --target .uv uv || exit 1; \
	fi; \
	"$$uv" sync --locked --quiet --all-extras --group dev --python "$$python"
	@touch $@
