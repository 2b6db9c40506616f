# Everything a person or CI runs. `make demo` and `make test` set the project up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := bundle/genrestack_bundle/native
NATIVE_STAMP := $(VENV)/.native
EXTRAS := train,boosting,ray,server,http,audio,tags,web,otel,docs,dev
# pytest-xdist workers, twice the cores this is measured on: tests wait half of their time. loadfile keeps a
# module's fixtures in one of them.
WORKERS ?= 4
# Here pytest's own process is a driver of Ray, which has crashed in one that had run hundreds of other tests before.
RAY_TESTS := tests/training/fitting/test_ray.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-hard test-gpu test-cpus test-versions check structure format proto unasync bench bench-peers docs image-test requirements clean

help:  ## list what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) $(NATIVE_STAMP)  ## make .venv and install the project into it

# Entry points and dependencies are frozen at install, so these two files ask for another one.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; try: make PYTHON=python3.11 $(MAKECMDGOALS)" if sys.version_info < (3, 11) else 0)'
	@echo "Installing GenreStack into $(VENV) (some minutes the first time: TensorFlow is large) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $(STAMP)

# Installing compiles the native operators too; this is for changes of their sources. Where there is no compiler, setup
# goes on without them.
$(NATIVE_STAMP): $(STAMP) $(NATIVE)/build.py $(wildcard $(NATIVE)/*.c $(NATIVE)/*.h)
	@$(BIN)/python $(NATIVE)/build.py || true
	@touch $(NATIVE_STAMP)

demo: setup  ## all steps on synthesised music: train, export, verify, serve, classify a song
	@$(BIN)/genrestack demo

test: setup check  ## the checks and all tests that take minutes at most
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not long and not gpu" --ignore $(RAY_TESTS)
	$(BIN)/python -m pytest -m "not long and not gpu" $(RAY_TESTS)

test-long: setup  ## the tests that take longer: hundreds of drawn stacks, the real table trained
	$(BIN)/python -m pytest -m long -n $(WORKERS) --dist loadfile --timeout 3600

test-hard: setup  ## faults, fuzzing, twice the capacity, leaks: the long form, about twenty minutes
	GENRESTACK_TEST_HARD=1 $(BIN)/python -m pytest tests/hard --timeout 3600

# onnxruntime and onnxruntime-gpu overwrite each other, so this environment has the second in the first's place.
test-gpu:  ## the tests that need an NVIDIA GPU, in an environment of their own (.venv-gpu)
	$(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[train,server,audio,dev]'
	.venv-gpu/bin/python -m pip uninstall --quiet --yes onnxruntime
	.venv-gpu/bin/python -m pip install --quiet --constraint constraints.txt 'onnxruntime-gpu[cuda,cudnn]'
	.venv-gpu/bin/python -m pytest -m gpu tests/server/test_gpu.py

test-versions: setup  ## the demo and the core tests on the oldest and newest versions allowed, on every Python at hand: an hour
	$(BIN)/python tools/check_versions.py

image-test: setup  ## build the server's image with buildah and try it; needs root
	PYTHONPATH=tests $(BIN)/python -W ignore::FutureWarning -m image

test-cpus: setup  ## parity under other kernels, instruction sets and emulated processors: about half an hour; needs root
	PYTHONPATH=tests $(BIN)/python -W ignore::FutureWarning -m cpus

check: setup  ## lint, types, imports between packages, generated code: exactly what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/unasync.py --check

structure: setup  ## modules and imports counted, a call followed through them; figures before → now
	@$(BIN)/python tools/show_structure.py --since tools/structure/before.json

format: setup  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: setup  ## generate the code of the protos
	$(BIN)/python tools/generate_protos.py

unasync: setup  ## generate the synchronous client from the asynchronous one
	$(BIN)/python tools/unasync.py

requirements: setup  ## pin and hash what the images install, after a change of pyproject.toml or constraints.txt
	$(BIN)/python tools/hash_requirements.py

bench: setup  ## measure against the baselines, in one run
	$(BIN)/python -m benchmarks

bench-peers: setup  ## compare with what people serve such a stack with today; installs them apart (5 GB)
	$(BIN)/python -m benchmarks.peers

docs: setup  ## make the site of the pages: build/docs/index.html
	$(BIN)/sphinx-build -E -W --keep-going -q -b html -d build/doctrees docs build/docs
	@echo "open build/docs/index.html"

clean:  ## remove the environment and what was built
	rm -rf $(VENV) $(NATIVE)/*.so build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
