# SPDX-License-Identifier: Apache-2.0
# The ExecuTorch wheel's targets, without the absolute search path they carry: a wheel is built in a temporary
# directory, and a library of ours must not look for its dependencies there later. INSTALL_RPATH says where they are.
# A build that brings its own ExecuTorch names its targets in HQDIT_EXECUTORCH instead.
set(HQDIT_EXECUTORCH "" CACHE STRING "ExecuTorch libraries to link; empty: those of the Python package")
if(HQDIT_EXECUTORCH)
  return()
endif()
find_package(executorch REQUIRED)
foreach(target executorch::runtime executorch::threadpool executorch::kernels_optimized executorch::backend_xnnpack)
  if(TARGET ${target})
    get_target_property(options ${target} INTERFACE_LINK_OPTIONS)
    list(FILTER options EXCLUDE REGEX "^LINKER:-rpath,/")
    set_property(TARGET ${target} PROPERTY INTERFACE_LINK_OPTIONS ${options})
  endif()
endforeach()
