# The commands of developers and of CI. Each target installs what it needs.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
unexport PYTHONDONTWRITEBYTECODE # or each process would compile anew what it imports

# .venv has the oldest Python and Django that are supported; the matrix has the others.
DJANGO := 5.2
MATRIX := py3.12-django6.0 py3.13-django6.1
# The databases of one that is between the others; each of those is tested on all.
DATABASES_OF_py3.12-django6.0 := sqlite

# Find a Python by version: on the PATH, or the newest of that version in pyenv, or nothing.
find_python = $(shell for python in python$(1) \
	$$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(1).*/bin/python$(1) 2>/dev/null | sort -rV); \
	do "$$python" -c "" 2>/dev/null && echo "$$python" && break; done)
PYTHON ?= $(or $(call find_python,3.11),python3)

# Checks the types as a project sees them that has neither django-stubs nor our configuration.
without_stubs = MYPYPATH=src .venv/bin/mypy --strict --config-file= \
	--cache-dir=.mypy_cache/without-stubs --no-site-packages --ignore-missing-imports \
	--follow-imports=silent --no-warn-unused-ignores

IN_CI = [ "$$CI" = true ]

.PHONY: help demo example docs test celery bench faults soak lint types imports migrations matrix lowest lowest-on-sqlite \
	lowest-on-servers check environments $(MATRIX)

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: .venv/.installed ## Run the example in the terminal, on SQLite
	.venv/bin/python example/manage.py demo

example: .venv/.installed ## Serve the example with a worker, for a browser
	.venv/bin/python example/manage.py serve

docs: .venvs/docs/.installed ## Build the documentation, and check its links; docs/_build/html/index.html
	@rm -rf docs/_build
	.venvs/docs/bin/sphinx-build --builder html --fail-on-warning --keep-going --nitpicky --quiet \
		--doctree-dir docs/_build/doctrees docs docs/_build/html
	@echo "$$(find docs/_build/html -name '*.html' | wc -l) pages are in docs/_build/html."

test: .venv/.installed .venv/.mysqlclient .venv/.axe ## Run the tests on each available database
	.venv/bin/python -m tests.on_every_database

# With the lowest version of Celery, what `make test` runs of them with the newest.
celery: .venv/.installed .venv/.mysqlclient .venvs/lowest/.installed ## Run all tests of the Celery engine, with real brokers and workers
	.venv/bin/python -m tests.celery_worker.acceptance
	.venvs/lowest/bin/python -m tests.on_every_database sqlite -- tests/celery_worker tests/tickets

# BENCH has the options, such as "--quick"; see `.venvs/bench/bin/python -m benchmarks --help`.
bench: .venvs/bench/.installed .venvs/bench/.mysqlclient ## Compare Taskworks with its peers (more than an hour)
	.venvs/bench/bin/python -m benchmarks $(or $(BENCH),--write)

faults: .venv/.installed .venv/.mysqlclient ## Inject all faults, and write the table of the results
	.venv/bin/python -m tests.faults

# For example: make soak SECONDS=600 DATABASE=mariadb RATE=100
SECONDS := 3600
DATABASE := postgresql
RATE := 500

soak: .venv/.installed .venv/.mysqlclient ## Run an hour of load with one fault after another
	TASKWORKS_SOAK_SECONDS=$(SECONDS) TASKWORKS_SOAK_RATE=$(RATE) \
		.venv/bin/python -m tests.on_every_database $(DATABASE) -- -s -o timeout=0 tests/faults/test_soak.py

lint: .venv/.installed ## Check style and formatting
	.venv/bin/ruff check src tests docs example benchmarks manage.py
	.venv/bin/ruff format --check src tests docs example benchmarks manage.py

types: .venv/.installed ## Check the types
	.venv/bin/mypy
	$(without_stubs) tests/types/sample.py tests/types/celery_sample.py

imports: .venv/.installed ## Check that imports only go down through the layers
	.venv/bin/lint-imports

migrations: .venv/.installed ## Check that the migrations are complete
	$(call check_migrations,.venv)

matrix: $(MATRIX) ## Check migrations and run the tests with the other versions of Python and Django

lowest: ## Run the central tests with the lowest versions in pyproject.toml
	@$(MAKE) --jobs=2 lowest-on-sqlite lowest-on-servers

lowest-on-sqlite: .venvs/lowest/.installed
	$(with_lowest) sqlite -- tests/options tests/prometheus tests/rest tests/schedules \
		tests/timetables tests/traces tests/typed

lowest-on-servers: .venvs/lowest/.installed
	$(with_lowest) mariadb postgresql -- tests/database tests/store

with_lowest = TASKWORKS_TEST_THOROUGHLY=false .venvs/lowest/bin/python -m tests.on_every_database

# The tests take turns (tests/turns.py): each run of them begins while the one before it ends. Beside
# them the other checks use what is left of two cores, and pip waits for the network.
check: .venv/.installed .venv/.mysqlclient ## Run all checks, as CI does
	@turns=$$(mktemp -d) && trap 'rm -r "$$turns"' EXIT && \
		TASKWORKS_TEST_TURNS="$$turns" $(MAKE) --jobs=4 test lint types imports migrations docs \
			$(ENVIRONMENTS) $(MATRIX) lowest-on-sqlite lowest-on-servers

# --- The environments ---

# py3.12-django6.0 -> 3.12 and 6.0
python_of = $(patsubst py%,%,$(firstword $(subst -django, ,$(1))))
django_of = $(lastword $(subst -django, ,$(1)))

# $(1) is one of the matrix. It has none if there is no such Python.
environment_of = $(if $(call find_python,$(call python_of,$(1))), \
	.venvs/$(1)/.installed .venvs/$(1)/.mysqlclient)
ENVIRONMENTS = $(foreach one,$(MATRIX),$(call environment_of,$(one))) .venvs/lowest/.installed

# Those that need no C compiler, which .ci/run installs meanwhile.
environments:
	@$(MAKE) --jobs=3 .venv/.installed .venvs/docs/.installed \
		$(filter-out .venvs/lowest/% %/.mysqlclient,$(ENVIRONMENTS))

# $(1) is the environment. The database is read, but not changed.
check_migrations = files=$$(mktemp -d) && trap 'rm -r "$$files"' EXIT && \
	TASKWORKS_TEST_FILES="$$files" $(1)/bin/python manage.py makemigrations --check --dry-run

# Most of what is installed is never imported, so that nothing is compiled before it is.
pip_install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile

# $(1) is the environment, $(2) its Python, $(3) its Django.
define install
@echo "Setting up $(1) with $(2) and Django $(3), which takes a minute."
@test -x $(1)/bin/pip || $(2) -m venv --clear $(1)
@$(call pip_install,$(1)) --editable ".[dev,example,openapi,postgresql,rest,typed]" "Django==$(3).*"
@touch $@
endef

.SECONDEXPANSION:
$(MATRIX): $$(call environment_of,$$@)
	@if [ -z "$(call find_python,$(call python_of,$@))" ]; then \
		echo "NOT TESTED: $@: no python$(call python_of,$@) on the PATH or in pyenv" >&2; \
		! $(IN_CI); \
	else \
		($(call check_migrations,.venvs/$@)) && \
		TASKWORKS_TEST_THOROUGHLY=false .venvs/$@/bin/python -m tests.on_every_database \
			$(DATABASES_OF_$@); \
	fi

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed, not $(PYTHON)." >&2; exit 1; }
	@! $(IN_CI) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "CI needs Python 3.11, which is neither on the PATH nor in pyenv." >&2; exit 1; }
	$(call install,.venv,$(PYTHON),$(DJANGO))

.venvs/%/.installed: pyproject.toml
	$(call install,.venvs/$*,$(call find_python,$(call python_of,$*)),$(call django_of,$*))

.venvs/lowest/.installed: pyproject.toml tests/lowest.py
	@echo "Setting up .venvs/lowest with the lowest versions, which takes a minute."
	@test -x .venvs/lowest/bin/pip || $(PYTHON) -m venv --clear .venvs/lowest
	@$(PYTHON) -m tests.lowest >.venvs/lowest/constraints.txt
	@$(call pip_install,.venvs/lowest) --constraint .venvs/lowest/constraints.txt \
		--editable ".[dev,example,mysql,openapi,postgresql,rest,typed]"
	@touch $@

.venvs/docs/.installed: pyproject.toml
	@echo "Setting up .venvs/docs with Sphinx, which takes half a minute."
	@test -x .venvs/docs/bin/pip || $(DOCS_PYTHON) -m venv --clear .venvs/docs
	@$(call pip_install,.venvs/docs) --editable ".[docs]"
	@touch $@

# The version of Read the Docs, if it is available.
DOCS_PYTHON = $(or $(call find_python,3.12),$(PYTHON))

# Install each peer that can be installed; the benchmark names the missing ones.
.venvs/bench/.installed: pyproject.toml benchmarks/requirements.txt
	@echo "Setting up .venvs/bench with the peers, which takes a minute."
	@test -x .venvs/bench/bin/pip || $(BENCH_PYTHON) -m venv --clear .venvs/bench
	@$(BENCH_INSTALL) --requirement benchmarks/requirements.txt || \
		sed '/^#/d' benchmarks/requirements.txt | while read -r peer; do \
			$(BENCH_INSTALL) "$$peer" </dev/null || echo "NOT INSTALLED: $$peer" >&2; \
		done
	@$(BENCH_INSTALL) --editable ".[postgresql]"
	@touch $@

BENCH_PYTHON = $(or $(call find_python,3.13),$(call find_python,3.12),$(PYTHON))
BENCH_INSTALL = $(call pip_install,.venvs/bench)

# axe-core, which looks for faults that keep people from using pages. Of the package, only the script
# is used, and not playwright, which it needs for the rest.
.venv/.axe: .venv/.installed
	@$(call pip_install,.venv) --no-deps "axe-playwright-python>=0.1.8"
	@touch $@

# The driver needs a C library to compile. Without it, everything else works.
%/.mysqlclient: %/.installed
	@if $(call pip_install,$*) --editable ".[mysql]" >$@.log 2>&1; \
	then \
		touch $@; \
	else \
		cat $@.log >&2; \
		echo "NOT INSTALLED in $*: mysqlclient, so MariaDB and MySQL are not tested." >&2; \
		echo "It needs a C compiler, pkg-config and the headers of libmysqlclient." >&2; \
		! $(IN_CI); \
	fi

.PRECIOUS: .venvs/%/.installed %/.installed %/.mysqlclient
