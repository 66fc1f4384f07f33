# SPDX-License-Identifier: GPL-3.0-or-later
#
# make demo       set up what is missing, then send a few pictures over an emulated bad link
# make test       ruff over the sources, then all tests
# make companion  GNU Radio Companion with the example flowgraph
# make setup      only set up: Debian packages, .venv, the module installed into it
# make lint       ruff over the sources
# make clean      forget builds and caches; `make distclean` also forgets .venv

PYTHON ?= /usr/bin/python3# an interpreter that has GNU Radio; pyenv's or conda's has not
VENV := .venv
ARGS ?=# more arguments for `ds2c2 demo` or pytest
TEST_SECONDS ?= 1500# a hung test run ends
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
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null
endef

packages:
	$(call install-missing,$(PACKAGES))

test-packages: packages
	$(call install-missing,$(TEST_PACKAGES))

# --system-site-packages: GNU Radio comes from Debian, everything else from PyPI.
$(VENV)/bin/python: | packages
	$(PYTHON) -m venv --system-site-packages $(VENV)

$(VENV)/.packages-installed: constraints.txt $(VENV)/bin/python
	@echo "Installing Python packages into $(VENV) (5 GB with PyTorch's CUDA libraries; some minutes, once)"
	$(VENV)/bin/python -m pip install --disable-pip-version-check --no-warn-conflicts -q -r constraints.txt
	@touch $@

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
