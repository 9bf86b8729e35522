# SPDX-License-Identifier: Apache-2.0
# What a library shows on Apple systems, as ld's -exported_symbols_list wants it: the functions that headers declare with
# HQDIT_API. Included, or on its own: cmake -DFILE=exports.txt -DHEADERS=hqdit.h -P exported_symbols.cmake
function(hqdit_write_exported_symbols file)
  set(symbols "")
  foreach(header ${ARGN})
    file(STRINGS ${header} declarations REGEX "^HQDIT_API .*[(]")
    foreach(declaration ${declarations})
      string(REGEX REPLACE ".*[ *](hqdit_[a-z0-9_]+)[(].*" "_\\1\n" symbol "${declaration}")
      string(APPEND symbols "${symbol}")
    endforeach()
  endforeach()
  file(WRITE ${file} "${symbols}")
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  hqdit_write_exported_symbols(${FILE} ${HEADERS})
endif()
