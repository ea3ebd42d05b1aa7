# Two commands do all: `make demo` shows the main job, `make test` runs the tests. Both set up .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS := test,octave,dask,spectra,onnx,peers
DEMO ?= demo
PROCESSES ?= 2

.PHONY: demo test bench lint wheel clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]"
	touch $@

demo: $(VENV)/installed
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m benchmarks.demo --out $(DEMO) $(DEMO_OPTIONS)

test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.fidelity
	$(BIN)/python -m benchmarks.speed

lint: $(VENV)/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

wheel: $(VENV)/installed
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist *.egg-info
