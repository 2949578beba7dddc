# Every command of the project. `make run` and `make test` need python3 and make, nothing else beforehand.
PYTHON ?=
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= $(shell getconf _NPROCESSORS_ONLN)
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help run demo setup wheel deb test test-fast test-setup footage fuzz soak sbom audit check docs format lock conf man bench clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || sed -n 's/^\([a-z-]*\):.*## /  make \1  /p' $(MAKEFILE_LIST)

run: $(VENV)/.run web-modules       ## set up what is missing, then serve (ARGS="--http-port 8080")
	@exec $(BIN)/hlsd serve $(ARGS)

demo: $(VENV)/.run web-modules      ## serve, and publish a moving test picture to it
	@exec $(BIN)/hlsd demo $(ARGS)

setup: $(VENV)/.run web-modules   ## set up what is missing, and no more: for a service

wheel: $(VENV)/.run web-modules   ## build dist/hlsd-….whl and the source archive, with all that the pages load
	@$(BIN)/python -m hatchling build

deb: wheel                        ## build dist/hlsd_….deb for this Debian: environment, unit, configuration, manual
	@scripts/deb.sh $(BIN)/python

test: $(VENV)/.dev test-setup web-modules    ## every test (ARGS="-k name"; APT=no: installs nothing by apt)
	@JOBS=$(JOBS) scripts/test.sh $(BIN)/python $(ARGS)

test-fast: $(VENV)/.dev test-setup web-modules   ## the tests of two minutes: unit, property, arch (ARGS="-k name")
	@JOBS=$(JOBS) scripts/test.sh --fast $(BIN)/python $(ARGS)

check: $(VENV)/.dev           ## lint, format, types, imports, the pages' scripts, the configuration file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hlsd check -c conf/hlsd.toml > /dev/null
	@scripts/npm.sh web/lint "the pages' scripts are not linted"
	@[ ! -d web/lint/node_modules/eslint ] || web/lint/node_modules/.bin/eslint --max-warnings 0 hlsd

footage: $(VENV)/.dev         ## the long form of generated and encoded footage (ARGS="--kind holes --seeds 1-5000")
	@scripts/footage.sh $(BIN)/python $(ARGS)

fuzz: $(VENV)/.dev            ## every reader of strangers' bytes, a million cases each (ARGS="--cases 1000 --only srt")
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade --target $(VENV)/fuzz \
	  -r requirements-fuzz.txt || echo "hlsd: no atheris for this Python: cases will be changed by chance alone"
	@PYTHONPATH=$(VENV)/fuzz $(BIN)/python -m tests.fuzz $(ARGS)

soak: $(VENV)/.dev            ## a day of publishers and viewers of all ways in an hour (MINUTES=5)
	@HLSD_SOAK=$(or $(MINUTES),60) $(BIN)/python -m pytest -q -s tests/fault/test_soak_of_all_ways.py $(ARGS)

bench: $(VENV)/.dev           ## measure again what docs/bench says (ARGS="ingest --quick")
	@$(BIN)/python -m bench $(ARGS)

format: $(VENV)/.dev          ## put the sources into shape
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

sbom: $(VENV)/.run            ## what hlsd is made with: build/hlsd.cdx.json (CycloneDX), docs/licences.md
	@$(BIN)/python scripts/sbom.py licences
	@$(BIN)/python scripts/sbom.py bom

audit: $(VENV)/.run           ## known holes of what is locked (needs pip-audit, npm, and a way to their data)
	pip-audit --disable-pip --require-hashes -r requirements.txt
	npm audit --package-lock-only --omit dev --prefix web

docs: $(VENV)/.docs           ## the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(VENV)/docs/bin/mkdocs build --quiet

conf: $(VENV)/.run            ## write conf/hlsd.toml anew from the models
	$(BIN)/hlsd check --template > conf/hlsd.toml.new
	mv conf/hlsd.toml.new conf/hlsd.toml

man: $(VENV)/.run             ## write docs/man/hlsd.1 anew from the commands
	@PYTHONPATH=. $(BIN)/python scripts/manpage.py

lock:            ## resolve the dependencies anew (needs uv)
	@scripts/lock.sh

clean:           ## remove everything that can be made again
	rm -rf $(VENV) web/node_modules web/lint/node_modules web/publish/node_modules web/publish/dist tests/interop/web/node_modules build dist .coverage
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@[ ! -d var ] || echo "var/ stays: state, tokens and recordings of this checkout's server. rm -r var takes them away."

# --- set-up: stamps in .venv say what is there, so that a second run starts at once ---

$(VENV)/.venv: scripts/venv.sh
	@PYTHON=$(PYTHON) scripts/venv.sh $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.venv requirements.txt requirements-build.txt pyproject.toml
	@echo "hlsd: installing the locked dependencies"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-build.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	@echo "hlsd: installing the locked tools"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.venv requirements-docs.txt
	@echo "hlsd: installing the locked maker of the site"
	@$(BIN)/python -m venv $(VENV)/docs
	@$(VENV)/docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.txt
	@touch $@

.PHONY: web-modules
web-modules: $(VENV)/.venv
	@scripts/npm.sh web "the page will use the browser's native HLS" $(VENV)
	@scripts/npm.sh web/publish "the page that publishes does so by its plain script, which knows WebRTC alone" $(VENV)
	@scripts/publish_library.sh $(VENV)

test-setup: $(VENV)/.dev
	@scripts/apt.sh tests/apt-packages.txt
	@scripts/npm.sh tests/interop/web "the browser tests are left out"
	@scripts/h2spec.sh $(VENV)
