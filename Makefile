# `make run` serves the example site, `make test` passes all tests. Both set up what they need.

PORT ?= 8000
VENV := .venv
PYTHON := $(VENV)/bin/python
CLIENTS := tests/integration/clients
# Compiled modules, also of tests, stay out of the tree: each worker and server would compile them again.
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/bytecode
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-quick floors matrix delivery revocation bench bench-long features docs release setup system lint format clean

run: setup
	@DJANGO_DEBUG=1 ./config/serve.sh $(PYTHON) $(PORT)

test: system setup $(CLIENTS)/node_modules/.installed $(CLIENTS)/python_modules/.installed lint
	$(PYTHON) -m pytest --durations=20 --durations-min=1

# Unit tests alone: no servers but Redis, no browser.
test-quick: system setup
	$(PYTHON) -m pytest tests/realtime tests/accounts tests/test_layout.py tests/test_guarantees.py

floors: system setup
	@./tests/floors.sh $(PYTHON)

matrix: system setup
	@./tests/matrix.sh

delivery: system setup
	@$(PYTHON) -m tests.delivery

revocation: system setup
	@$(PYTHON) -m benchmarks.revocation

bench: system setup
	@$(PYTHON) -m benchmarks

bench-long: system setup
	@$(PYTHON) -m benchmarks --long

features: system setup
	@$(PYTHON) -m benchmarks.features

docs: setup
	$(PYTHON) -m mkdocs build --quiet
	@echo "Open build/docs/index.html. To search: $(PYTHON) -m http.server --bind 127.0.0.1 --directory build/docs 8001"

release: system setup
	@$(PYTHON) .ci/release.py "$(URL)"

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache
	DJANGO_DEBUG=1 $(PYTHON) -m mypy --strict realtime
	DJANGO_DEBUG=1 $(PYTHON) manage.py makemigrations --check --dry-run
	DJANGO_DEBUG=1 $(PYTHON) manage.py check

format: setup
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.txt
	@./tests/find-python.sh $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

system:
	@./tests/install-servers.sh

$(CLIENTS)/node_modules/.installed: $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci --silent --no-audit --no-fund
	@touch $@

# An old release of an SDK, apart from the newest one.
$(CLIENTS)/python_modules/.installed: $(CLIENTS)/requirements.txt $(VENV)/.installed
	@rm -rf $(@D)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target $(@D) --requirement $<
	@touch $@

clean:
	rm -rf $(VENV) $(CLIENTS)/node_modules $(CLIENTS)/python_modules benchmarks/peers/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
