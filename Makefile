# Every target makes the environment it needs and reuses it later. Needs: Python 3.11, git, make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
TEST_VENV := .venv-test
VLLM_VENV := .venv-vllm
SPACE_VENV := .venv-space
TRAIN_VENV := .venv-train
EXPORT_VENV := .venv-export
PIP_FLAGS := --quiet --disable-pip-version-check --constraint constraints.txt
PACKAGES := cluster_statistics dataset_builder lm_eval_tasks semsam space tests
# Threads of torch that wait do not spin: beside other jobs small models ran many times as long.
export OMP_WAIT_POLICY ?= PASSIVE
# Some containers set it, and then each of the many processes of a run would compile this package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-extras test-bounds test-defects test-slow test-formats check lint format build docs release environment test-environment browser test-families test-vllm test-space test-training test-export clean

## demo: real scans -> benchmark -> a real model's scores and a gallery
demo: $(VENV)/.ready
	$(VENV)/bin/mis-ground demo

## test: everything that CI runs
test: lint browser
	@echo "mypy runs beside the tests; what it says comes behind them."
	@$(TEST_VENV)/bin/mypy > .mypy.txt 2>&1 & types=$$!; \
	  $(TEST_VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	  wait $$types; checked=$$?; echo "mypy: $$(cat .mypy.txt)"; rm -f .mypy.txt; \
	  [ $$tests = 0 ] && [ $$checked = 0 ]

## test-defects: every kind of defect planted everywhere in a data set, each to be found by `mis-ground check` (some minutes)
test-defects: $(TEST_VENV)/.ready
	MIS_GROUND_ALL_DEFECTS=1 $(TEST_VENV)/bin/python -m pytest --numprocesses 2 tests/check/test_planted.py tests/check/test_right_data.py

## test-formats: the sample's real CT and MR through every format and order of storage, and 100,000 damaged files (minutes each)
test-formats: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/python tests/benchmarks/ways_in.py
	$(TEST_VENV)/bin/python tests/benchmarks/fuzz.py

## test-slow: the tests that take long: every command of docs/, the notebook, SmolLM2 against its file ... (some minutes)
test-slow: $(TEST_VENV)/.ready
	MIS_GROUND_SLOW=1 $(TEST_VENV)/bin/python -m pytest -m slow --numprocesses 2 --dist load

## check: format, lint, types
check: lint
	$(TEST_VENV)/bin/mypy

lint: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/ruff format --check $(PACKAGES)
	$(TEST_VENV)/bin/ruff check $(PACKAGES)

format: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/ruff format $(PACKAGES)
	$(TEST_VENV)/bin/ruff check --fix $(PACKAGES)

# Same commit, same bytes: the archives' dates are the commit's, and hatchling is the one in constraints.txt.
build release: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)

## build: the wheel and the source archive, in dist/
build: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/python -m build --no-isolation --outdir dist

## docs: the pages of docs/ as a site, in site/
docs: $(TEST_VENV)/.ready
	NO_MKDOCS_2_WARNING=1 $(TEST_VENV)/bin/mkdocs build --strict

## release: wheel and source archive whose description shows its images on a package index; REPOSITORY=https://github.com/OWNER/NAME
release: $(TEST_VENV)/.ready
	@[ -n "$(REPOSITORY)" ] || { echo "Say where the repository is published: make release REPOSITORY=https://github.com/OWNER/NAME"; exit 2; }
	@[ -z "$$(git status --porcelain)" ] || { echo "Commit or remove these first, or nobody can build the same release: $$(git status --short | head)"; exit 2; }
	@rm -rf dist
	MIS_GROUND_REPOSITORY="$(REPOSITORY)" $(TEST_VENV)/bin/python -m build --no-isolation --outdir dist
	$(TEST_VENV)/bin/twine check --strict dist/*
	@cd dist && sha256sum *

## test-extras: the wheel in empty environments, with each extra alone, each tried with what it is for (2 GB at a time)
test-extras: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/python -m tests.environment.installs wheels
	$(TEST_VENV)/bin/python -m tests.environment.installs extras

## test-bounds: the wheel with all extras at the lowest and at the newest versions, each with a part of the tests (10 minutes, 10 GB)
test-bounds: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/python -m tests.environment.installs bounds

environment: $(VENV)/.ready
test-environment: $(TEST_VENV)/.ready

# The marker is written last: an interrupted install is begun anew.
$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Making the environment $(VENV) (once; some minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install $(PIP_FLAGS) --editable '.[demo]'
	@touch $@

# torchvision is only for the tests of Qwen3-VL's processor; tests/environment/ says what torchvision_schemas.py does.
$(TEST_VENV)/.ready: pyproject.toml constraints.txt $(wildcard tests/environment/torchvision_schemas.*)
	@echo "Making the environment $(TEST_VENV) (once; some minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@rm -rf $(TEST_VENV)
	@$(PYTHON) -m venv $(TEST_VENV)
	@# Of 23,000 files the tests import a part: Python compiles these when it needs them, 40 s sooner than pip compiles all.
	@$(TEST_VENV)/bin/pip install $(PIP_FLAGS) --no-compile --editable '.[demo,test]'
	@$(TEST_VENV)/bin/pip install $(PIP_FLAGS) --no-compile --no-deps torchvision
	@cp tests/environment/torchvision_schemas.py tests/environment/torchvision_schemas.pth "$$($(TEST_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/"
	@touch $@

# The gallery is tested in a real browser.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "Installing chromium for the page tests ..." \
	       && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
	  || echo "No chromium here and no way to install it: the page tests will say so."

## test-families: tiny random models of the families that people use, through the whole path (about a minute)
test-families: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/python -m pytest tests/families/every_family.py

## test-vllm: the tests that need vLLM, on its CPU build (first makes an environment for it: about 5 minutes, 5 GB)
test-vllm: $(VLLM_VENV)/.ready
	$(VLLM_VENV)/bin/python -m pytest tests/vllm_engine

$(VLLM_VENV)/.ready: pyproject.toml $(wildcard tests/environment/*)
	@echo "Making the environment $(VLLM_VENV) (once; some minutes) ..."
	@rm -rf $(VLLM_VENV)
	@PYTHON=$(PYTHON) tests/environment/vllm_environment.sh $(VLLM_VENV)
	@touch $@

## test-training: the rewards in TRL's GRPO, on the small model (first makes an environment with TRL)
test-training: $(TRAIN_VENV)/.ready
	$(TRAIN_VENV)/bin/python -m pytest tests/training

$(TRAIN_VENV)/.ready: pyproject.toml constraints.txt
	@echo "Making the environment $(TRAIN_VENV) (once; some minutes) ..."
	@rm -rf $(TRAIN_VENV)
	@$(PYTHON) -m venv $(TRAIN_VENV)
	@$(TRAIN_VENV)/bin/pip install $(PIP_FLAGS) --editable '.[demo,train]' pytest
	@touch $@

## test-space: the page for the Hub in a real browser (first makes an environment for it: its framework wants older packages)
test-space: $(TEST_VENV)/.ready $(SPACE_VENV)/.ready browser
	SPACE_PYTHON=$(abspath $(SPACE_VENV)/bin/python) $(TEST_VENV)/bin/python -m pytest tests/space

$(SPACE_VENV)/.ready: space/requirements.txt
	@echo "Making the environment $(SPACE_VENV) (once; some minutes) ..."
	@rm -rf $(SPACE_VENV)
	@$(PYTHON) -m venv $(SPACE_VENV)
	@$(SPACE_VENV)/bin/pip install --quiet --disable-pip-version-check --requirement space/requirements.txt
	@touch $@

## test-export: the same models asked by lm-eval, Inspect, lmms-eval and VLMEvalKit (first makes an environment for each: about 15 minutes, 7 GB); VLMEVALKIT=DIR
test-export: $(TEST_VENV)/.ready $(EXPORT_VENV)/inspect/.ready $(EXPORT_VENV)/lmms-eval/.ready $(if $(VLMEVALKIT),$(EXPORT_VENV)/vlmevalkit/.ready)
	@[ -n "$(VLMEVALKIT)" ] || echo "VLMEvalKit is not tried: make test-export VLMEVALKIT=DIR, the folder of its repository."
	INSPECT_PYTHON=$(abspath $(EXPORT_VENV)/inspect/bin/python) \
	LMMS_EVAL_PYTHON=$(abspath $(EXPORT_VENV)/lmms-eval/bin/python) \
	VLMEVALKIT_PYTHON=$(abspath $(EXPORT_VENV)/vlmevalkit/bin/python) VLMEVALKIT=$(VLMEVALKIT) \
	  $(TEST_VENV)/bin/python -m pytest tests/other_harnesses/every_harness.py

$(EXPORT_VENV)/%/.ready: pyproject.toml constraints.txt tests/environment/export_environment.sh
	@echo "Making the environment $(EXPORT_VENV)/$* (once; some minutes) ..."
	@PYTHON=$(PYTHON) VLMEVALKIT=$(VLMEVALKIT) tests/environment/export_environment.sh $(EXPORT_VENV)/$* $*
	@touch $@

clean:
	rm -rf $(VENV) $(TEST_VENV) $(VLLM_VENV) $(SPACE_VENV) $(TRAIN_VENV) $(EXPORT_VENV) dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
