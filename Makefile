# Words for people and for CI. `make run` and `make test` set up everything they need.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: setup setup-dev run test check sim replay bench coarse touches fuse deaths twin lock clean

setup: .venv/.setup ## make .venv with smartload in it
setup-dev: .venv/.setup-dev

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("SmartLoad needs Python 3.11 or newer") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv

.venv/.setup: .venv/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/.setup-dev: .venv/.setup requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: setup ## the real home where smartload.yaml exists, else the demo
	@if [ -f smartload.yaml ]; then exec $(BIN)/smartload run --config smartload.yaml $(ARGS); \
	else exec $(BIN)/smartload demo $(ARGS); fi

check: setup-dev ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check ## everything: lint, types, all tests
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || echo "Chromium is missing: the browser tests are skipped (install it, or set CHROMIUM)"
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

sim: setup ## a simulated winter week
	$(BIN)/smartload simulate winter-week --days 7 --seed 1 $(ARGS)

replay: setup ## record a simulated day and replay it with every actor
	mkdir -p build && rm -f build/day*.db
	$(BIN)/smartload simulate winter-week --days 1 --seed 1 --journal build/day.db
	$(BIN)/smartload replay build/day.db $(ARGS)

bench: setup-dev ## deliveries per second; steps of evcc's regulator per second
	$(BIN)/smartload bench messages $(ARGS)
	$(BIN)/smartload bench sim $(ARGS)

coarse: setup ## one-minute weather and the static maps against 10 s weather, 20 days
	$(BIN)/smartload bench coarse $(ARGS)

touches: setup-dev ## 1,000 days with people who touch evcc at any second (about half an hour)
	$(BIN)/python -m sim.touches --seed 1 --homes 1000 $(ARGS)

deaths: setup-dev ## who dies how in which state, and what the home does for the next 12 h (minutes)
	$(BIN)/python -m sim.deaths $(ARGS)

fuse: setup-dev ## 200 days behind 25 A and 200 behind 35 A: what is ours keeps the limit (about an hour)
	$(BIN)/python -m sim.fuse_days --homes 200 --amps 25 $(ARGS)
	$(BIN)/python -m sim.fuse_days --homes 200 --amps 35 $(ARGS)

TRACES ?= ../shared/reference/evcc-recorded/traces
twin: setup-dev ## every recording of a real evcc against the pretend one; two pictures in docs/
	mkdir -p build/twin
	$(BIN)/smartload twin $(TRACES)/*.jsonl --out build/twin $(ARGS)
	$(BIN)/smartload twin $(TRACES)/pv-1p3p.jsonl --plot docs/twin-pv-1p3p.svg
	$(BIN)/smartload twin $(TRACES)/battery-modes.jsonl --plot docs/twin-battery-modes.svg

lock: ## renew the lock files from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra lab --extra dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
