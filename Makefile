# The commands of the repository. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup site down test test-fast bench bench-quick lint lock docs clean

SUITE ?= bookworm

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: ## Install what make needs: Debian packages, and Python tools into .venv
	@tools/setup

site: setup ## Turn a Debian host into an index: two disposable hosts, or INVENTORY=path for your own (SUITE=trixie)
	@.venv/bin/python tools/site.py --suite '$(SUITE)' $(if $(INVENTORY),--inventory '$(INVENTORY)')

down: ## Remove the disposable hosts of make site
	@tests/hosts/hosts down

lock: setup ## Write all locks anew, with the newest versions
	@tools/lock

test: setup ## Everything: lint, unit, docs, gates on the oldest and newest ansible-core, molecule and benches (40 minutes)
	@tests/run

test-fast: setup ## What takes less than a minute: lint, unit and consistency
	@tests/run lint unit consistency

bench-quick: setup ## How fast the front is, against the limit and the generated vhost, on a disposable host (SUITE=trixie)
	@tests/bench/front/run '$(SUITE)'

bench: setup ## Every other index and cache beside ours, on a disposable host; writes docs/benchmarks.md (25 minutes, SUITE=trixie)
	@tests/bench/front/run '$(SUITE)' full $(BENCH)

lint: setup ## ansible-lint, yamllint, ruff and mypy
	@tests/run lint

docs: setup ## Write docs/roles and docs/modules anew, from the specs of the roles and the modules' documentation
	@.venv/bin/python tools/docs.py
