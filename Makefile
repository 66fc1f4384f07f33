# SPDX-License-Identifier: GPL-3.0-or-later
#
# make demo       set up what is missing, then send a few pictures over an emulated bad link
# make test       ruff over the sources, then all tests
# make companion  GNU Radio Companion with the example flowgraph
# make setup      only set up: Debian packages, .venv, the module installed into it; TORCH=cpu: without CUDA
# make lint       ruff over the sources
# make clean      forget builds and caches; `make distclean` also forgets .venv

PYTHON ?= /usr/bin/python3# an interpreter that has GNU Radio; pyenv's or conda's has not
VENV := .venv
# PyTorch's CPU build: `make setup TORCH=cpu TORCH_INDEX=...`, an index's URL or a folder of wheels (default: what pip
# is set to). What was chosen is kept in .venv until `make distclean`.
CPU_STAMP := $(VENV)/.torch-cpu
TORCH ?= $(if $(wildcard $(CPU_STAMP)),cpu)
TORCH_INDEX ?= $(shell cat $(CPU_STAMP) 2>/dev/null)
TORCH_PIN := $(shell sed -n 's/^torch==//p' constraints.txt)
# What .venv takes on disk while pip fills it and afterwards: docs/install.md has the measurements.
ifeq ($(TORCH),cpu)
  FREE_GB := 2
  VENV_SIZE := 0.4 GB to download, 1.5 GB on disk, with PyTorch's CPU build
else
  FREE_GB := 10
  VENV_SIZE := 3.2 GB to download, 6 GB on disk, with PyTorch's CUDA libraries
  CPU_HINT := ; without CUDA it is 2 GB: make setup TORCH=cpu (docs/install.md)
endif
ARGS ?=# more arguments for `ds2c2 demo` or pytest
TEST_SECONDS ?= 2700# a hung test run ends
# A process of tests a core; each takes 1 GB and flowgraphs have threads of their own, so not too many.
# The last one wins: `make test ARGS="-n 0"` runs them in one, as a debugger wants it.
TEST_WORKERS := --numprocesses logical --maxprocesses 4 --dist worksteal

# As few as will do: --no-install-recommends leaves out what GNU Radio Companion needs.
PACKAGES := gnuradio gir1.2-gtk-3.0 gir1.2-pango-1.0 python3-gi-cairo cmake python3-venv
TEST_PACKAGES := xvfb xauth

SOURCES := CMakeLists.txt $(shell find gr-ds2c2 python_blocks flowgraphs models \
             -name __pycache__ -prune -o \( -type d -o -name '*.py' -o -name '*.cmake' -o -name '*.yml' \
             -o -name '*.grc' -o -name '*.safetensors' -o -name '*.md' -o -name '*.toml' -o -name '*.html' \) -print 2>/dev/null)

.PHONY: help demo test companion setup packages test-packages lint clean distclean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: setup
	@$(VENV)/bin/ds2c2 demo $(ARGS)

test: setup test-packages lint
	timeout --kill-after=30 $(TEST_SECONDS) xvfb-run --auto-servernum $(VENV)/bin/pytest $(TEST_WORKERS) $(ARGS)

# The venv's interpreter runs GNU Radio Companion, which runs flowgraphs with its own interpreter.
# It wants the terminal by its whole path, else it complains at the first run; "." means none.
companion: setup
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" \
	  GRC_BLOCKS_PATH="$(CURDIR)/$(VENV)/share/gnuradio/grc/blocks:$$GRC_BLOCKS_PATH" \
	  GR_CONF_GRC_XTERM_EXECUTABLE="$$(command -v x-terminal-emulator || echo .)" \
	  $(VENV)/bin/python "$$(command -v gnuradio-companion)" flowgraphs/loopback_emulated.grc

lint: setup
	@$(VENV)/bin/ruff check --quiet . && $(VENV)/bin/ruff format --check --quiet . || \
	  { echo "make: ruff has something to say of the sources: $(VENV)/bin/ruff check . and $(VENV)/bin/ruff format ." >&2; exit 1; }

setup: $(VENV)/.module-installed

# One line for those who can neither install nor have it installed already.
define install-missing
	@if ! command -v dpkg-query apt-get >/dev/null; then \
	  $(PYTHON) -c 'import gnuradio' 2>/dev/null && command -v cmake >/dev/null && exit 0; \
	  echo "make: no apt-get here: install GNU Radio 3.10 for $(PYTHON) and CMake with your package manager, then try again" >&2; exit 1; \
	fi; \
	missing=; for package in $(1); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q '^install ok installed' || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ]; then as_root=; elif command -v sudo >/dev/null; then as_root=sudo; else \
	  echo "make: Debian packages are missing and there is neither root nor sudo; have them installed: apt-get install --no-install-recommends$$missing" >&2; exit 1; \
	fi; \
	echo "Installing Debian packages:$$missing"; \
	$$as_root apt-get update -qq && \
	{ LC_ALL=C apt-get install --assume-no -o APT::Get::Assume-Yes=false --no-install-recommends $$missing 2>/dev/null | \
	  grep -E '^(Need to get|After this op| *Download size| *Space needed)' || true; } && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null
endef

packages:
	$(call install-missing,$(PACKAGES))

test-packages: packages
	$(call install-missing,$(TEST_PACKAGES))

# --system-site-packages: GNU Radio comes from Debian, everything else from PyPI.
$(VENV)/bin/python: | packages
	$(PYTHON) -m venv --system-site-packages $(VENV)

# What pip says goes to its log, and from there its errors to the terminal. It unpacks inside .venv, since /tmp may be
# small or memory, and keeps no copies elsewhere (PIP_NO_CACHE_DIR=0: it does).
PIP_LOG := $(VENV)/pip.log
PIP_INSTALL = mkdir -p $(VENV)/tmp && TMPDIR="$(CURDIR)/$(VENV)/tmp" PIP_NO_CACHE_DIR=$${PIP_NO_CACHE_DIR-1} \
  $(VENV)/bin/python -m pip install --disable-pip-version-check --no-color --progress-bar off >$(PIP_LOG) 2>&1
PIP_FAILED = { grep '^ERROR' $(PIP_LOG) || tail -n 3 $(PIP_LOG); } >&2; rm -rf $(VENV)/tmp

# Before PyTorch comes: is there room, and what is about to happen.
TORCH_IS_THERE = ls -d $(VENV)/lib/python3*/site-packages/torch-$(TORCH_PIN)*.dist-info >/dev/null 2>&1
define announce
@free=$$(df --output=avail -k $(VENV) | tail -1); \
if $(TORCH_IS_THERE); then echo "Installing Python packages into $(VENV)"; \
elif [ "$$free" -ge $$(($(FREE_GB) * 1000000)) ]; then \
  echo "Installing Python packages into $(VENV): $(VENV_SIZE); some minutes, once"; \
else \
  echo "make: $(VENV) needs $(FREE_GB) GB while pip fills it, and $$((free / 1000000)) GB are free$(CPU_HINT)" >&2; exit 1; \
fi
endef

$(VENV)/.packages-installed: constraints.txt $(VENV)/bin/python $(if $(filter cpu,$(TORCH)),$(CPU_STAMP))
	$(announce)
	@$(PIP_INSTALL) -r constraints.txt || \
	  { $(PIP_FAILED); echo "make: pip could not install the Python packages; all it said is in $(PIP_LOG)" >&2; exit 1; }
	@rm -rf $(VENV)/tmp
	@touch $@

# Before everything else, whose requirement it then satisfies.
CPU_SOURCE = $(or $(TORCH_INDEX),the index that pip is set to)
$(CPU_STAMP): constraints.txt $(VENV)/bin/python
	@! ls -d $(VENV)/lib/python3*/site-packages/nvidia >/dev/null 2>&1 || \
	  { echo "make: $(VENV) has PyTorch with CUDA: make distclean, then again" >&2; exit 1; }
	$(announce)
	@if [ -d "$(TORCH_INDEX)" ]; then from="--no-index --find-links"; else from=$(if $(TORCH_INDEX),--index-url); fi; \
	$(PIP_INSTALL) --no-deps $$from $(if $(TORCH_INDEX),"$(TORCH_INDEX)") "torch==$(TORCH_PIN)+cpu" || { $(PIP_FAILED); \
	  echo "make: no CPU build of PyTorch $(TORCH_PIN) from $(CPU_SOURCE): make setup TORCH=cpu TORCH_INDEX=URL;" \
	    "all that pip said is in $(PIP_LOG)" >&2; exit 1; }
	@rm -rf $(VENV)/tmp
	@echo "$(TORCH_INDEX)" >$@

# What an earlier version installed here and this one does not have goes away first.
$(VENV)/.module-installed: $(VENV)/.packages-installed $(SOURCES)
	@[ ! -f build/install_manifest.txt ] || \
	  { grep -F "$(CURDIR)/$(VENV)/" build/install_manifest.txt || true; } | tr '\n' '\0' | xargs -0 rm -f
	@cmake -B build -DPython3_EXECUTABLE="$(CURDIR)/$(VENV)/bin/python" >/dev/null
	@cmake --install build --prefix "$(CURDIR)/$(VENV)" >/dev/null
	@touch $@

clean:
	rm -rf build out .pytest_cache .ruff_cache .hypothesis $(VENV)/.module-installed
	find . -path ./$(VENV) -prune -o -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
