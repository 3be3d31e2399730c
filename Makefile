# Two commands to begin with: `make demo` and `make test`. Each sets up .venv first when it is missing or out of date: what runs the
# harness, and for tests, checks and documentation their tools too.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TOOLS := .venv/.ready-tools

.PHONY: demo test test-lowest lint docs lock bench bench-check gpu gpu-rehearsal torture audit ablation setup clean

setup: $(READY)

# $(1): what to install.
INSTALL = @$(BIN)/python -m pip install -c constraints.txt -e '$(1)' >>.venv/install.log 2>&1 \
  || { tail -n 30 .venv/install.log >&2; echo 'error: the installation failed; see .venv/install.log' >&2; exit 1; }

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'Setting up .venv: a few minutes (what pip says goes to .venv/install.log)'
	$(call INSTALL,.)
	touch $(READY)

$(TOOLS): $(READY)
	@echo 'Setting up the tools for tests and documentation: a few minutes'
	$(call INSTALL,.[dev])
	touch $(TOOLS)

demo: $(READY)
	$(BIN)/harness run --variant attention

test: $(TOOLS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations 25

# The oldest versions that pyproject.toml allows (torch apart, which is too large to have twice), over those of .venv.
LOWEST := .venv-lowest
test-lowest: $(TOOLS) constraints-lowest.txt
	test -x $(LOWEST)/bin/python || $(BIN)/python -m venv --without-pip $(LOWEST)
	$(BIN)/python -c 'import os, sys; print(*(one for one in sys.path if one.endswith("-packages")), os.getcwd(), sep="\n")' \
	  > $$(ls -d $(LOWEST)/lib/python*/site-packages)/zz-borrowed.pth
	@$(BIN)/python -m pip --python $(LOWEST)/bin/python install --no-deps -r constraints-lowest.txt >$(LOWEST)/install.log 2>&1 \
	  || { tail -n 30 $(LOWEST)/install.log >&2; exit 1; }
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 --dist loadfile -W default \
	  -p pytest_timeout -p xdist.plugin -p _hypothesis_pytestplugin $(LOWEST_TESTS)
LOWEST_TESTS := $(addprefix tests/test_,$(addsuffix .py,lowest registry)) \
  $(addprefix tests/reports/test_,$(addsuffix .py,analysis_comparisons contrasts ttests verdicts sequences studies html markdown csv latex estimates power promises canvas page forest)) \
  $(addprefix tests/evaluation/test_,$(addsuffix .py,metrics conventions mean windows baselines)) \
  $(addprefix tests/evaluation/metrics/test_,$(addsuffix .py,ssim errors)) \
  $(addprefix tests/store/test_,$(addsuffix .py,store)) \
  $(addprefix tests/data/test_,$(addsuffix .py,digits movement moving_mnist source mirrors draws parts contents sequences)) \
  $(addprefix tests/tuning/test_,$(addsuffix .py,search trials samplers pruning leftovers record confirm))

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(READY)
	$(BIN)/python .ci/uv_constraints.py

docs: $(TOOLS)
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html

torture: $(TOOLS)
	$(BIN)/python tests/torture/everything.py

# Known vulnerabilities of what is pinned. It asks an advisory service, hence a part of a release and not of .ci/run.
audit: $(READY)
	test -x .venv-audit/bin/pip-audit || { $(BIN)/python -m venv .venv-audit && .venv-audit/bin/python -m pip --quiet install pip-audit; }
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

bench: $(TOOLS)
	$(BIN)/python benchmarks/reliability.py
	$(BIN)/python benchmarks/generator.py
	$(BIN)/python benchmarks/statistics_simulation.py
	$(BIN)/python benchmarks/sequential_simulation.py --plans 2000
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/study_overhead.py
	$(BIN)/harness bench --preset cpu --contenders fast,fast-bf16,reference-float32,article-float32,article-bf16

# One thread: two that wait for each other on a busy machine measure the others.
bench-check: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/harness bench --preset cpu --rounds 15 --contenders fast,article-float32 --check benchmarks/recorded.json

# Everything that waits for a GPU, in the time that there is: make gpu BUDGET=2h. Call it again to go on.
BUDGET ?= 28m
gpu: $(TOOLS)
	$(BIN)/python benchmarks/gpu.py --budget $(BUDGET)

gpu-rehearsal: $(TOOLS)
	rm -rf gpu-rehearsal
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/gpu.py --rehearsal --kills 2

ablation: $(READY)
	$(BIN)/harness ablate --plan add-one --seeds 5 --preset cpu
	$(BIN)/harness report

clean:
	rm -rf .venv .venv-lowest .venv-audit build docs/_build docs/generated *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
