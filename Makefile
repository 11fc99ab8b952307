# Everything a person does with this project. `make help` lists it.
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
EXTRAS := node,center,tls,https,mqtt,neighbor,video,onvif,dev

export ORT_DISABLE_TELEMETRY := 1

.PHONY: help setup console demo test test-all check format bench campaign docs wheel clean

help:  ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready console  ## make .venv with what a node, a center and the tests need (no Node, no torch), and build the console

console: $(VENV)/.ready  ## build the console, if its program changed
	@$(BIN)/python scripts/build_console.py || echo "the console is not built: everything else works, its tests will fail"

$(VENV)/.ready: pyproject.toml constraints.txt scripts/make_venv.sh
	./scripts/make_venv.sh $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

demo: setup  ## run a command center, a relay and a camera, and open the console; CAMERA=… MODEL=… take your own
	$(BIN)/command-center demo $(if $(CAMERA),--camera '$(CAMERA)') $(if $(MODEL),--model '$(MODEL)') $(if $(STATE),--state '$(STATE)')

test: setup  ## the ordinary tests: half an hour on two cores
	./scripts/install_test_tools.sh
	$(PYTEST) -m 'not slow'

test-all: setup  ## all tests, the slow ones too
	./scripts/install_test_tools.sh
	$(PYTEST)

check: setup  ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## measure against the targets: make bench BENCH=relay|carriers|center|journal|camera|evidence|network|scale|video|console|tiny|standby
	./scripts/install_test_tools.sh --bench
	$(BIN)/python -m tests.benchmarks $(BENCH)

campaign: setup  ## every network scenario with 20 seeds and stations killed at random; takes an hour or two, needs root
	$(BIN)/python -m tests.network.campaign

docs: setup  ## check that every command and link in the documentation works
	$(PYTEST) tests/architecture/test_documentation.py

wheel: setup  ## build dist/heard-….whl, console included, to be installed on other machines
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check . --no-deps --wheel-dir dist

clean:  ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache command_center/console/web command_center/console/app/node_modules
