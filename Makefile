# Two commands: `make run` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test soak lint format bench setup browser nginx clean

run: setup  ## serve the page; flags go into ARGS="--source ..."
	$(BIN)/python app.py $(ARGS)

test: setup browser nginx  ## all tests
	$(BIN)/python -m pytest $(ARGS)

soak: setup browser nginx  ## the long tests that `make test` leaves out
	$(BIN)/python -m pytest -m soak $(ARGS)

lint: setup  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	@echo "There is no benchmark yet." && exit 1

setup: $(READY)  ## the virtual environment

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
		|| (echo "Python 3.10 to 3.13 is needed, $(PYTHON) is `$(PYTHON) -V`. Try: make $(MAKECMDGOALS) PYTHON=python3.12" && exit 1)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --only-binary=:all: -r requirements.txt
	@touch $(READY)

browser: setup  ## a Chromium for the browser tests
	@$(BIN)/python -c 'from tests.browser import find_browser; find_browser()' 2>/dev/null \
		|| (command -v apt-get >/dev/null && [ "`id -u`" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) \
		|| $(BIN)/python -m playwright install chromium

nginx: setup  ## an nginx for the tests of replicas
	@$(BIN)/python -c 'from tests.nginx import find_nginx; find_nginx()' 2>/dev/null \
		|| (command -v apt-get >/dev/null && [ "`id -u`" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light) \
		|| (echo "The tests of replicas need nginx: install your system's package nginx-light" && exit 1)

clean:
	rm -rf $(VENV)
