# `make` alone lists what there is.
# In the image for development both are set: its environment is of the lock without triton.
VENV := $(or $(SLT_VENV),.venv)
LOCK := $(SLT_LOCK)
IMAGE := slt
SIF := slt.sif
# BASE_IMAGE=… takes another base than the pinned one; DOCKER_CLI=… another docker.

.DEFAULT_GOAL := help
.PHONY: help env demo check test lint bench lock dist docs clean build build-cpu build-test smoke smoke-cpu sif smoke-sif slurm-test

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: ## make .venv from environment.lock; nothing to do once it is there
	@docker/make-env.sh $(VENV) $(LOCK)

demo: env ## set up, then translate the clips that come with the package
	@$(VENV)/bin/slt demo

# One worker more than there are cores: tests often wait, for a disk, a server, or the moment to kill what they started.
WORKERS = $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 4)))
PYTEST = $(VENV)/bin/python -m pytest --quiet --numprocesses $(WORKERS) --dist worksteal

test check: export OMP_NUM_THREADS := 1
# Without bytecode each worker rewrites the asserts of all tests anew, and each process they start compiles slt.
test check: export PYTHONDONTWRITEBYTECODE :=
test: env ## run all tests
	@$(PYTEST)

check: lint ## run the linters and the quick tests, for the inner loop
	@$(PYTEST) -m "not slow"

lint: env ## check style, types and the formatting
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/hadolint Dockerfile
	@$(VENV)/bin/shellcheck .ci/run docker/*.sh tests/launch/golden/*.sh
	@$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml

build: ## make the Docker image slt
	@docker/build.sh slt $(IMAGE)

build-cpu: ## make a small one without the CUDA libraries, slt-cpu
	@docker/build.sh slt $(IMAGE)-cpu --build-arg VARIANT=cpu

# A volume, not memory, for /tmp: models of the published sizes take 9 GB there.
build-test: ## make the image with the tests in it, and run them there, without a network
	@docker/build.sh test $(IMAGE)-test
	@$${DOCKER_CLI:-docker} run --rm --network none --read-only --volume /tmp --user 12345:12345 $(IMAGE)-test

smoke: build ## make the image, then run its commands as any user (uid 12345) would, nothing writable, no network
	@docker/smoke.sh $(IMAGE)

smoke-cpu: build-cpu ## the same with the small image
	@docker/smoke.sh $(IMAGE)-cpu

sif: build ## make slt.sif for Apptainer of the Docker image
	@docker/sif.sh $(IMAGE) $(SIF)

smoke-sif: ## run what is in slt.sif as a compute node would: an ordinary user, a home that is not to be written to
	@docker/smoke-sif.sh $(SIF)

slurm-test: env ## run jobs on the Slurm that this machine belongs to: an array, a stopped training, two processes
	@$(VENV)/bin/python -m pytest --quiet tests/launch/on_slurm.py

bench: env ## measure SignHiera against timm's own forward pass
	@$(VENV)/bin/python benchmarks/extractor.py

# One lock for both Pythons; then that each has a wheel of every package for the oldest C library that we promise.
lock: env ## solve the environment anew after a change of pyproject.toml; UPGRADE=1 takes the newest of everything
	@UV_CUSTOM_COMPILE_COMMAND='make lock' $(VENV)/bin/uv pip compile pyproject.toml --quiet --extra dev \
		--universal --python-version 3.11 --fork-strategy fewest --generate-hashes --only-binary :all: \
		--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) --output-file environment.lock
	@for python in 3.11 3.12; do $(VENV)/bin/uv pip compile environment.lock --quiet --no-deps --only-binary :all: \
		--python-version $$python --python-platform x86_64-manylinux_2_28 --output-file /dev/null || exit; done
	@docker/make-env.sh $(VENV)

dist: env ## make dist/: sdist, wheel, and what it takes to install them with the versions of the lock
	@docker/dist.sh $(VENV)

docs: env ## renew the parts of docs/ that are made from code
	@$(VENV)/bin/python docs/house.py

clean: ## remove the environment and everything that tools left behind
	@rm -rf $(VENV) $(VENV)-uv build dist src/*.egg-info .pytest_cache .ruff_cache .mypy_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
