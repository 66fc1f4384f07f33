# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sets Python3_EXECUTABLE to the interpreter that has GNU Radio: the active virtual
# environment's, the first python3 on PATH, or the system's. A python3 of pyenv or conda that
# stands first on PATH usually has no GNU Radio.

function(has_gnuradio interpreter result)
  execute_process(
    COMMAND "${interpreter}" -c "import importlib.util as u, sys; sys.exit(u.find_spec('gnuradio.gr') is None)"
    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    set(${result} FALSE PARENT_SCOPE)
  else()
    set(${result} TRUE PARENT_SCOPE)
  endif()
endfunction()

if(NOT Python3_EXECUTABLE)
  find_program(PATH_PYTHON3 python3 NO_CACHE)
  set(candidates "${PATH_PYTHON3}" /usr/bin/python3)
  if(DEFINED ENV{VIRTUAL_ENV})
    list(PREPEND candidates "$ENV{VIRTUAL_ENV}/bin/python3")
  endif()
  foreach(candidate IN LISTS candidates)
    has_gnuradio("${candidate}" found)
    if(found)
      set(Python3_EXECUTABLE "${candidate}")
      break()
    endif()
  endforeach()
endif()
if(NOT Python3_EXECUTABLE)
  message(WARNING "No Python with GNU Radio among: ${candidates}. The library will work, the blocks will not: "
                  "install GNU Radio (Debian: apt-get install gnuradio), or name its interpreter with -DPython3_EXECUTABLE=...")
  set(Python3_EXECUTABLE "${PATH_PYTHON3}")
endif()
set(Python3_EXECUTABLE "${Python3_EXECUTABLE}" CACHE FILEPATH "Interpreter that has GNU Radio")
execute_process(COMMAND "${Python3_EXECUTABLE}" -c "import sys; sys.exit(sys.version_info < (3, 11))" RESULT_VARIABLE too_old)
if(too_old)
  message(FATAL_ERROR "${Python3_EXECUTABLE} is missing or older than Python 3.11; name another with -DPython3_EXECUTABLE=...")
endif()
message(STATUS "Python: ${Python3_EXECUTABLE}")
