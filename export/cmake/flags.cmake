# SPDX-License-Identifier: Apache-2.0
# Language, warnings and floating-point rules of all our C++: link hqdit_flags. And where libraries find each other.
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

# A library's own folder, as the dynamic linker calls it.
set(HQDIT_ORIGIN "$ORIGIN")
if(APPLE)
  set(HQDIT_ORIGIN "@loader_path")
endif()

option(HQDIT_WERROR "Warnings are errors" ON)
set(HQDIT_SANITIZE "" CACHE STRING "Sanitizers for all our code, for example address,undefined")

# The same bits on every processor: no fused multiply-add that the source does not ask for. Nor do they depend on the
# folder of the build, which __FILE__ would carry into the library and its log.
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH hqdit_root)
add_library(hqdit_flags INTERFACE)
target_compile_options(hqdit_flags INTERFACE -ffp-contract=off -ffile-prefix-map=${hqdit_root}/= -Wall -Wextra
                                             -Wpedantic -Wshadow -Wconversion
                                             $<$<BOOL:${HQDIT_WERROR}>:-Werror>)
if(HQDIT_SANITIZE)
  # -g1 has the lines that reports name. With variables, too, GCC compiles the kernels a third longer.
  target_compile_options(hqdit_flags INTERFACE -fsanitize=${HQDIT_SANITIZE} -fno-sanitize-recover=all -g1)
  target_link_options(hqdit_flags INTERFACE -fsanitize=${HQDIT_SANITIZE})
endif()
