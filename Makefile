# Every target makes what it needs first: a fresh Debian with Python 3.11, pip and make is enough.

BIN := .venv/bin
VENV := .venv/.from-lock

.PHONY: setup demo test chaos mutants bench lint format lock node java chromium

# .venv with everything, so that .venv/bin/firsthand is the command
setup: $(VENV)

$(VENV): requirements-dev.lock pyproject.toml scripts/make-venv
	scripts/make-venv
	touch $@

# everything running, with emulators and a day of a sample shop's traffic
demo: setup
	$(BIN)/firsthand demo

test: lint node java chromium
	$(BIN)/pytest --numprocesses auto --dist loadfile

# everything goes wrong at random for a while, and every event is followed to its end: docs/chaos.md
CHAOS_SECONDS ?= 180
CHAOS_SEED ?=
chaos: setup
	$(BIN)/python -m tests.chaos.run --seconds $(CHAOS_SECONDS) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED))

# one line at a time is wrong on purpose: would a test notice? See tests/mutants.py
MUTANTS ?=
mutants: setup
	$(BIN)/python -m tests.mutants $(MUTANTS)

# against the peers named in bench/; takes a while and wants an idle machine
bench: setup
	$(BIN)/python -m bench

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# the clients of Segment and RudderStack that the tests send with
node:
	scripts/ensure-node
java:
	scripts/ensure-java

# the browser that the browser tests drive
chromium:
	scripts/ensure-chromium

# newest versions that fit together, with their hashes and without the address they came from
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet --upgrade
lock: setup
	$(LOCK) --output-file requirements.lock
	$(LOCK) --output-file requirements-dev.lock --extra dev
