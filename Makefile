# From python3 (3.11 to 3.13, with venv), git and make alone. Nothing outside this directory changes.

PYTHON ?= python3
# An environment of its own for a Python that was named.
VENV ?= .venv$(if $(filter file,$(origin PYTHON)),,-$(notdir $(PYTHON)))
DEMO_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_INPUTS ?= 50000
VERIFY_ARGS ?=
IMAGES_ARGS ?=
AUDIT_ARGS ?=
CLUSTER_ARGS ?=
# Many tests wait for kernels and processes: one more than there are cores keeps those busy, and the
# slow ones wait more.
JOBS ?= $(shell echo $$(( $$(nproc) + 1 )))

# All packages, so that the first import of each is quick, too: twenty seconds.
COMPILE ?= --compile-bytecode

# What the driver of the machine with a GPU takes: 12 or 13.
CUDA ?= 12
# Set to anything, a machine without a GPU fails what needs one, which is left out otherwise.
REQUIRE_GPU ?=

# Python keeps what it compiles: hundreds of processes import the same modules.
export PYTHONDONTWRITEBYTECODE :=

RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
# With RAPIDS' memory manager and CuPy beside it: 140 MB that the demo does without.
TESTABLE := $(VENV)/.testable
# And with the compiler that CuPy needs on a machine with only a driver: 230 MB more.
GPU := $(VENV)/.gpu-cuda$(CUDA)

.DEFAULT_GOAL := help
.PHONY: help demo pictures test test-unprivileged coverage check-long test-slow test-faults fuzz test-gpu test-images bench bench-gpu gpu-verify images sbom audit docs generated rmm-wheels release-check catalog lint types clean \
    cluster-check cluster-logs

help:
	@echo 'make demo             run the example notebook through the whole pipeline'
	@echo '     DEMO_ARGS=--lite     the small variant; --help lists the rest'
	@echo 'make pictures         take the pictures of reports in docs/, in Chromium'
	@echo 'make test             run the fast tests'
	@echo 'make test-unprivileged   as root: run those for files and the network as another user'
	@echo 'make test-slow        run the slow ones: matrices and whole workflows'
	@echo 'make test-faults      run the table of faults: servers, disks, kills, hostile input'
	@echo 'make fuzz             give each reader of files and answers damaged input: FUZZ_INPUTS=50000 in all'
	@echo 'make coverage         the fast tests, and the share of lines and branches that they must reach'
	@echo 'make check-long       what is too long for CI: slow tests on each Python, cudf.pandas, all kill points'
	@echo 'make test-gpu         run those that need an NVIDIA GPU'
	@echo '     REQUIRE_GPU=1        fail without one; CUDA=13   for wheels of CUDA 13'
	@echo 'make test-images      build the images on stand-in bases, and run the demo in them'
	@echo '     PYTEST_ARGS="-k clone"   further arguments for pytest'
	@echo 'make bench            measure beside papermill, nbclient and nbconvert: about half an hour'
	@echo '     BENCH_ARGS=--quick   small notebooks, a minute; --help lists the rest'
	@echo 'make gpu-verify       prove the GPU side on an NVIDIA GPU, in seven minutes at most'
	@echo '     VERIFY_ARGS="--out FILE"   --help lists the rest'
	@echo 'make bench-gpu        measure allocators and the guard on an NVIDIA GPU, or say why not'
	@echo 'make images           build the container images: docs/images.md'
	@echo '     IMAGES_ARGS="--base NAME:TAG gpu"   --help lists the rest'
	@echo 'make sbom             list the locked dependencies in dist/stepkit.cdx.json (CycloneDX)'
	@echo 'make audit            look the locked dependencies up among known vulnerabilities (OSV)'
	@echo 'make docs             build the site of these pages in dist/docs; a broken link is an error'
	@echo 'make generated        write what names every step: README, StepActions, kustomization'
	@echo 'make rmm-wheels       lock anew the wheels of RMM, CuPy and rapids-cli that the slow tests use'
	@echo 'make release-check    build wheel and sdist, try both on each Python: docs/release.md'
	@echo 'make catalog          the Tasks and Pipelines as Artifact Hub reads them, in dist/catalog'
	@echo 'make cluster-check    tell whether a cluster has what stepkit needs: docs/cluster.md'
	@echo 'make cluster-logs     bundle what a bug report needs, without secrets'
	@echo '     CLUSTER_ARGS="--namespace stepkit --context NAME"   --help lists the rest'
	@echo 'make lint             check style and format'
	@echo 'make types            check types'
	@echo 'make clean            remove the environment, caches and what the demo wrote'
	@echo
	@echo 'The first of them makes $(VENV) from uv.lock. For another Python:'
	@echo '     make test PYTHON=python3.12     (in .venv-python3.12, or in VENV=DIR)'

demo: $(READY)
	@$(RUN) -m examples.demo $(DEMO_ARGS)

pictures: $(TESTABLE)
	@$(RUN) -m examples.pictures

test: $(TESTABLE)
	$(RUN) -m pytest -m "not slow and not long and not gpu and not images and not faults" -n $(JOBS) $(PYTEST_ARGS)

# Root may enter every directory, so tests for those that it may not are skipped elsewhere.
test-unprivileged: $(TESTABLE)
	bash .ci/test-unprivileged $(RUN) -n $(JOBS) $(PYTEST_ARGS)

# Branches count, what runs in child processes does not. The floor is in pyproject.toml.
coverage: $(TESTABLE)
	$(RUN) -m pytest -m "not slow and not long and not gpu and not images and not faults" -n $(JOBS) --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

test-slow: $(TESTABLE)
	$(RUN) -m pytest -m "slow and not gpu and not faults" -n $$(( $(JOBS) + 1 )) $(PYTEST_ARGS)

# How all rows ended goes into docs/faults.md.
test-faults: $(TESTABLE)
	STEPKIT_FAULTS_RECORD=$(if $(PYTEST_ARGS),,1) \
	    $(RUN) -m pytest -m faults -n $(JOBS) tests/faults $(PYTEST_ARGS)
	$(if $(PYTEST_ARGS),,PYTHONPATH=tests $(RUN) -m faults.write_page)

# What breaks a reader stays in .cache/fuzz/READER; once mended, it goes to tests/fuzz/corpus/READER.
fuzz: $(TESTABLE)
	STEPKIT_FUZZ_INPUTS=$(FUZZ_INPUTS) $(RUN) -m pytest -n $(JOBS) tests/fuzz $(PYTEST_ARGS)

# Its last figures are in benchmarks/check-long.md, which it writes.
check-long: $(TESTABLE)
	PYTHON=$(PYTHON) VENV=$(VENV) bash .ci/check-long

test-gpu: $(GPU)
	STEPKIT_REQUIRE_GPU=$(REQUIRE_GPU) $(RUN) -m pytest -m gpu tests/gpu $(PYTEST_ARGS)

# As root, with buildah, podman and mmdebstrap; the network brings packages.
test-images: $(TESTABLE)
	$(RUN) -m pytest -m images $(PYTEST_ARGS)

# From git, python3 and a builder alone: no environment is made.
images:
	@$(PYTHON) -m images.build $(IMAGES_ARGS)

sbom: $(READY)
	@mkdir -p dist
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" sh images/sbom.sh dist/stepkit.cdx.json

# Also those of development; exit code 1 of uv means that there is a vulnerability.
audit: $(READY)
	@$(RUN) -m uv audit --frozen --preview-features audit-command $(AUDIT_ARGS)

# Not from tests/: no page links there. New pages count before they are committed.
docs: $(READY)
	@rm -rf dist/docs dist/docs-source && mkdir -p dist/docs-source
	@git ls-files -z --cached --others --exclude-standard -- ':!tests' | \
	    xargs -0 cp --parents -t dist/docs-source
	@$(RUN) -m uv run --quiet --isolated --frozen --only-group docs --python $(RUN) \
	    zensical build --strict --clean >dist/docs.log 2>&1 || { \
	    sed -n 's/\x1b\[[0-9;]*m//g; s/^Warning: //p; s/^ *╭─\[ \(.*\) \]/    \1/p; $$p' dist/docs.log; exit 1; }
	@echo 'the site: python3 -m http.server -d dist/docs'

generated: $(READY)
	@$(RUN) -m tasks.generated
	@PYTHONPATH=tests $(RUN) -m faults.write_page

# One lock for each NAME.in there; the slow tests find them by name.
rmm-wheels: $(READY)
	@for row in tests/*/*/wheels/*.in; do \
	    $(RUN) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	        --generate-hashes --custom-compile-command 'make rmm-wheels' \
	        --output-file "$${row%.in}.txt" "$$row" || exit 1; done

# On each Python that is here. As the last check of a release, on the commit with the tag.
release-check: $(TESTABLE)
	@$(RUN) -m release.check $$(bash -c '. .ci/sections; for v in 3.11 3.12 3.13; do python_of $$v; done')

catalog: $(READY)
	@$(RUN) -m release.catalog dist/catalog

# From python3 and kubectl alone, and only reading.
cluster-check:
	@$(PYTHON) -m tasks.cluster.tool.check $(CLUSTER_ARGS)

cluster-logs:
	@$(PYTHON) -m tasks.cluster.tool.logs $(CLUSTER_ARGS)

bench: $(READY)
	@$(RUN) -m benchmarks $(BENCH_ARGS)

bench-gpu: $(GPU)
	@$(RUN) -m benchmarks.gpu $(if $(REQUIRE_GPU),--require-gpu) $(BENCH_ARGS)

gpu-verify: $(GPU)
	@$(RUN) -m benchmarks.gpu_verify $(VERIFY_ARGS)

CHECK_SCHEMA := $(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor

lint: $(TESTABLE)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-logo
	$(CHECK_SCHEMA).github-actions action.yml
	$(CHECK_SCHEMA).github-workflows .github/workflows/*.yml
	$(CHECK_SCHEMA).gitlab-ci --data-transform gitlab-ci .gitlab-ci.yml
	$(CHECK_SCHEMA).compose-spec images/compose.yaml

types: $(TESTABLE)
	$(RUN) -m mypy

clean:
	rm -rf .venv .venv-* $(VENV) demo .mypy_cache .pytest_cache .ruff_cache .cache .coverage dist
	find . -name .git -prune -o -type d -name __pycache__ -exec rm -rf {} +

# The environment, anew when the lock changed. Each line that can fail says what to do about it.
UV_VERSION = $(shell sed -n '/^name = "uv"$$/{n;s/^version = "\(.*\)"$$/\1/p;}' uv.lock)
SYNC = PATH="$$PATH:$(CURDIR)/$(VENV)/bin" UV_PROJECT_ENVIRONMENT=$(VENV) \
    uv sync --quiet --frozen --extra demo --extra tests $(COMPILE) --python $(RUN)
STOP = { echo "make: $(1)" >&2; exit 1; }

define ENVIRONMENT
	@command -v git >/dev/null || $(call STOP,there is no git: apt-get install git)
	@command -v $(PYTHON) >/dev/null || \
	    $(call STOP,there is no $(PYTHON): apt-get install python3$(COMMA) or name another with PYTHON=...)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	    $(call STOP,$(PYTHON) is $$($(PYTHON) -V 2>&1)$(COMMA) which is too old or too new: \
	    install Python 3.11$(COMMA) 3.12 or 3.13 and name it: make PYTHON=python3.12)
	@command -v uv >/dev/null || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    $(call STOP,$(PYTHON) cannot make environments: apt-get install python3-venv)
	@echo 'making $(VENV) from uv.lock: about 2 GB, in a minute or two, longer on a busy machine'
	@test -x $(RUN) || if command -v uv >/dev/null; \
	    then uv venv --quiet --python $(PYTHON) --no-python-downloads $(VENV); \
	    else $(PYTHON) -m venv $(VENV); fi
	@command -v uv >/dev/null || test -x $(VENV)/bin/uv || \
	    $(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
endef

$(READY): pyproject.toml uv.lock
	$(ENVIRONMENT)
	@rm -f $(TESTABLE) $(VENV)/.gpu-*
	@$(SYNC)
	@touch $@

$(TESTABLE): pyproject.toml uv.lock
	$(ENVIRONMENT)
	@rm -f $(VENV)/.gpu-*
	@$(SYNC) --extra cuda12
	@touch $(READY) $@

$(GPU): pyproject.toml uv.lock
	$(ENVIRONMENT)
	@rm -f $(TESTABLE) $(VENV)/.gpu-*
	@$(SYNC) --extra cuda$(CUDA) --extra test-gpu$(if $(filter 12,$(CUDA)),,-cuda$(CUDA))
	@touch $(READY) $@ $(if $(filter 12,$(CUDA)),$(TESTABLE))

COMMA := ,
