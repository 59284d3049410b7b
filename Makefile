# Every target sets up what it needs in .venv; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help run-env dev-env demo test test-full notebooks images cluster cluster-programs node-programs check format generate bench lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Locked, hash-checked dependencies; then the project itself in editable form, built by the locked
# hatchling. A stamp per environment keeps the second run short.
$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

run-env: $(VENV)/.run ## set up .venv for serving
dev-env: $(VENV)/.dev ## set up .venv for working on the project

demo: run-env ## serve the bike-demand example and send real traffic through its split
	$(BIN)/tiltyard demo

test: node-programs ## run the tests (everything but what is marked full)
	$(BIN)/pytest -n 2 --dist loadgroup -m "not full"

test-full: node-programs ## run every test, the long ones too
	$(BIN)/pytest -n 2 --dist loadgroup

notebooks: dev-env ## run the notebooks of the examples (no cluster needed)
	$(BIN)/pytest tests/served/test_notebooks.py

cluster: dev-env ## run a Kubernetes control plane and the operator on this machine, until Ctrl-C
	@PYTHONPATH=tools:tests/support $(BIN)/python -m laptop

images: ## build the images with docker, podman or buildah (see docs/images.md)
	@PYTHONPATH=tools $(PYTHON) -m images $(IMAGES)

# Where no node can run, its tests are skipped; under CI that is a failure.
node-programs: cluster-programs ## build what a whole node of the tests runs, its images too (Linux and root)
	@PYTHONPATH=tools $(BIN)/python -m cluster node-programs || [ "$$CI" != true ]

# Where the programs cannot be built, the tests that need them are skipped; under CI that is a failure.
cluster-programs: dev-env ## build the programs of the control plane (minutes, once)
	@PYTHONPATH=tools $(BIN)/python -m cluster programs || [ "$$CI" != true ]

check: dev-env ## format, lint, import contracts, types, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python tools/generate.py --check

format: dev-env ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: dev-env ## rewrite the generated files
	$(BIN)/python tools/generate.py

bench: dev-env ## measure the engine beside its peers (see benchmarks/README.md)
	$(BIN)/python benchmarks/run.py

lock: dev-env ## resolve the dependencies anew into requirements/
	$(BIN)/python -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip --quiet install uv
	$(VENV)-lock/bin/$(COMPILE) \
		--extra engine --extra grpc --extra sdk pyproject.toml requirements/build.in -c requirements/constraints.in -o requirements/run.txt
	$(VENV)-lock/bin/$(COMPILE) \
		--extra engine --extra sdk --extra operator --extra arrow --extra cel --extra cloud --extra grpc --extra simd --group dev pyproject.toml -c requirements/run.txt -o requirements/dev.txt
	for image in "engine --extra engine --extra arrow --extra cel --extra cloud --extra grpc --extra simd" \
		"engine-slim --extra engine --extra cloud --extra grpc --extra simd" "operator --extra operator --extra cel"; do set -- $$image; name=$$1; shift; \
		$(VENV)-lock/bin/$(COMPILE) \
			--no-emit-package flatbuffers --no-emit-package packaging $$* pyproject.toml -c requirements/dev.txt -c requirements/run.txt -o requirements/$$name.txt || exit 1; done
	$(VENV)-lock/bin/$(COMPILE) \
		requirements/build.in -c requirements/run.txt -o requirements/build.txt
	cd sdk/tiltyard/convert/requirements && for name in tables tensorflow pytorch; do \
		$(CURDIR)/$(VENV)-lock/bin/$(COMPILE) \
		--no-emit-find-links $$name.in -o $$name.txt || exit 1; done

clean: ## remove what make set up
	rm -rf $(VENV) $(VENV)-lock .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
