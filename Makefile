# Two commands to begin with: `make demo` and `make test`. Each sets up .venv first when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint bench ablation setup clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'Setting up .venv: a minute or two (what pip says goes to .venv/install.log)'
	@$(BIN)/python -m pip install --upgrade pip >.venv/install.log 2>&1 \
	  && $(BIN)/python -m pip install -c constraints.txt -e '.[dev]' >>.venv/install.log 2>&1 \
	  || { tail -n 30 .venv/install.log >&2; echo 'error: the installation failed; see .venv/install.log' >&2; exit 1; }
	touch $(READY)

demo: $(READY)
	$(BIN)/harness run --variant attention

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python benchmarks/generator.py
	$(BIN)/python benchmarks/statistics_simulation.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/harness bench --preset cpu --contenders fast,oracle-float32,article-float32

ablation: $(READY)
	$(BIN)/harness ablate --plan add-one --seeds 3 --preset cpu
	$(BIN)/harness report

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
