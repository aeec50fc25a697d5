# Two commands: `make run` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
WORKERS ?= 4
INSTALL = $(BIN)/python -m pip install --quiet --only-binary=:all: --no-deps --require-hashes

TOOLS := .tools/bin
COMPILE := pip compile --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet

# Python keeps what it compiled, whatever the shell says: uv unpacks packages without compiling them, and every app that a
# test starts would compile Gradio anew (8 s to import it in place of 4).
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run dev test test-ollama soak lint format bench setup lock audit browser nginx postgres clean

run: setup  ## serve the page; flags go into ARGS="--source ..."
	$(BIN)/python app.py $(ARGS)

test: dev browser nginx postgres  ## all tests; some of them: ARGS="tests/test_x.py"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# OLLAMA_HOST=http://box:11434 make test-ollama: what it has is found out, and nothing is pulled.
test-ollama: dev  ## what the app does with a real Ollama, at OLLAMA_HOST
	$(BIN)/python -m pytest -m real_ollama --timeout 1800 -s tests/test_real_ollama.py $(ARGS)

soak: dev browser nginx postgres  ## the long runs: load, kills, faults, replicas and leaving in many rounds (an hour)
	$(BIN)/python -m pytest -m soak --timeout 1800 -s $(ARGS)

lint: dev  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: dev  ## what it costs, beside the article's program: ARGS="ws start --quick"; see bench/README.md
	$(BIN)/python -m bench $(ARGS)

setup: $(READY)  ## the virtual environment with what the app needs

dev: $(DEV)  ## and with what tests and checks need

lock: .tools/.ready  ## the locks from the requirements: one version and its hashes for each system
	$(TOOLS)/uv $(COMPILE) requirements-dev.txt -o requirements-dev.lock
	$(TOOLS)/uv $(COMPILE) requirements.txt -c requirements-dev.lock -o requirements.lock

audit: .tools/.ready  ## known vulnerabilities of the locked packages
	@$(TOOLS)/python .ci/audit.py $(TOOLS)/pip-audit requirements-dev.lock

.tools/.ready:
	$(PYTHON) -m venv .tools
	$(TOOLS)/python -m pip install --quiet --only-binary=:all: uv pip-audit
	@touch .tools/.ready

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
		|| (echo "Python 3.10 to 3.13 is needed, $(PYTHON) is `$(PYTHON) -V`. Try: make $(MAKECMDGOALS) PYTHON=python3.12" && exit 1)
	$(PYTHON) -m venv $(VENV)

# uv fetches and unpacks many packages at once, in a quarter of pip's time. It does not know an index that pip is set to, or
# its proxy: pip installs what uv cannot.
define install
@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.lock >$(VENV)/uv.lock
$(INSTALL) -r $(VENV)/uv.lock
@if $(BIN)/python -m pip config list | grep -q index-url \
	|| ! $(BIN)/uv pip install --quiet --python $(BIN)/python --only-binary=:all: --no-deps --require-hashes -r $(1); \
	then echo "pip installs it" && $(INSTALL) -r $(1); fi
endef

$(READY): requirements.lock requirements-dev.lock | $(BIN)/python
	$(call install,requirements.lock)
	@touch $(READY)

$(DEV): requirements.lock requirements-dev.lock | $(BIN)/python
	$(call install,requirements-dev.lock)
	@touch $(READY) $(DEV)

browser: dev  ## a Chromium for the browser tests
	@$(BIN)/python -c 'from tests.browser import find_browser; find_browser()' 2>/dev/null \
		|| (command -v apt-get >/dev/null && [ "`id -u`" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) \
		|| $(BIN)/python -m playwright install chromium

nginx: dev  ## an nginx for the tests of replicas
	@$(BIN)/python -c 'from tests.nginx import find_nginx; find_nginx()' 2>/dev/null \
		|| (command -v apt-get >/dev/null && [ "`id -u`" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light) \
		|| (echo "The tests of replicas need nginx: install your system's package nginx-light" && exit 1)

postgres:  ## a PostgreSQL for the tests of the shared library; they start servers of their own
	@command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 \
		|| (command -v apt-get >/dev/null && [ "`id -u`" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql) \
		|| (echo "The tests of a shared library need PostgreSQL: install your system's package postgresql" && exit 1)

clean:
	rm -rf $(VENV) .tools
