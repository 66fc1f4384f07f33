# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Python packages go below a prefix, and the script ``bin/ds2c2`` that finds them there.

Usage: install_paths.py PREFIX PYTHON_DIR SCRIPT

Prints the folder, relative to PREFIX: PYTHON_DIR if given, else the one below PREFIX that this
interpreter looks in, else lib/pythonX.Y/site-packages. Writes SCRIPT for this interpreter.
"""

import os
import site
import sys
from pathlib import Path

LONGEST_SHEBANG = 127  # bytes, what every Linux takes
SCRIPT = """\
{shebang}
import os
import sys

PACKAGES = os.path.normpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), {relative!r}))
if os.path.realpath(PACKAGES) not in map(os.path.realpath, sys.path):
    sys.path.insert(0, PACKAGES)

from ds2c2.cli.program import main  # noqa: E402

# A process that this one starts (multiprocessing's spawn) imports this file.
if __name__ == "__main__":
    sys.exit(main())
"""
# For paths that are long or hold a space: sh runs the second line, Python reads it as a string.
SHEBANG_BY_SH = """\
#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''"""


def python_dir(prefix: Path) -> Path:
    """The packages folder for this prefix."""
    usual = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if (prefix / "pyvenv.cfg").is_file():
        return usual
    for folder in map(Path, [*site.getsitepackages(), site.getusersitepackages()]):
        # "lib" first: /usr/local/lib/... is not what the prefix /usr means.
        if folder.is_relative_to(prefix) and folder.relative_to(prefix).parts[0] == "lib":
            return folder
    return usual


def shebang(python: str) -> str:
    """The script's first line or lines."""
    if " " in python or len(f"#!{python}".encode()) > LONGEST_SHEBANG:
        return SHEBANG_BY_SH.format(python=python)
    return f"#!{python}"


def main(prefix_text: str, given: str, script: str) -> None:
    prefix = Path(os.path.abspath(prefix_text))
    packages = prefix / given if given else python_dir(prefix)
    relative = os.path.relpath(packages, prefix / "bin")
    Path(script).write_text(SCRIPT.format(shebang=shebang(sys.executable), relative=relative))
    if os.path.realpath(packages) not in map(os.path.realpath, sys.path) and not (prefix / "pyvenv.cfg").is_file():
        print(f"note: {sys.executable} does not look in {packages}; set PYTHONPATH={packages}", file=sys.stderr)
    print(os.path.relpath(packages, prefix))


main(*sys.argv[1:])
