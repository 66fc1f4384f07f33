# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sets DS2C2_INSTALL_PYTHON_DIR for install(DESTINATION), and writes bin/ds2c2.
#
# Where packages go depends on the prefix (site-packages in a virtual environment,
# dist-packages under /usr/local on Debian), and `cmake --install --prefix` gives that at
# install time. So the destination is a variable that the install script sets itself.

set(DS2C2_PYTHON_DIR "" CACHE STRING "Where Python packages go, below the prefix or absolute; empty: ask the interpreter")

install(CODE "
  set(DS2C2_PYTHON_DIR \"${DS2C2_PYTHON_DIR}\")
  execute_process(
    COMMAND \"${Python3_EXECUTABLE}\" \"${CMAKE_CURRENT_LIST_DIR}/install_paths.py\"
            \"\${CMAKE_INSTALL_PREFIX}\" \"\${DS2C2_PYTHON_DIR}\" \"${CMAKE_CURRENT_BINARY_DIR}/ds2c2\"
    OUTPUT_VARIABLE DS2C2_PYTHON_DIR OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
")
set(DS2C2_INSTALL_PYTHON_DIR "\${DS2C2_PYTHON_DIR}")
