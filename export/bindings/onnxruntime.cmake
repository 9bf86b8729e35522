# SPDX-License-Identifier: Apache-2.0
# libhqdit_ort: our operators for ONNX Runtime 1.17 and newer. It needs nothing of ONNX Runtime to build (ort_abi.h), so
# that installing the package downloads nothing more; the official header can take the place of those declarations.
include(${CMAKE_CURRENT_LIST_DIR}/../cmake/onnxruntime_header.cmake)
set(ONNXRUNTIME_INCLUDE_DIR "" CACHE PATH "Folder of onnxruntime_c_api.h; empty: the declarations in ort_abi.h")
option(HQDIT_FETCH_ONNXRUNTIME_HEADER "Get onnxruntime_c_api.h by Maven out of ${ONNXRUNTIME_ARCHIVE}" OFF)
if(HQDIT_FETCH_ONNXRUNTIME_HEADER AND NOT ONNXRUNTIME_INCLUDE_DIR)
  set(ort_headers ${CMAKE_BINARY_DIR}/onnxruntime-headers)
  hqdit_fetch_onnxruntime_header(${ort_headers})
else()
  set(ort_headers ${ONNXRUNTIME_INCLUDE_DIR})
endif()

foreach(source onnxruntime_operators operators ort_call ort_fp4_linear thread_scratch)
  list(APPEND ort_sources ${CMAKE_CURRENT_LIST_DIR}/${source}.cpp)
endforeach()
add_library(hqdit_ort SHARED ${ort_sources})
target_link_libraries(hqdit_ort PRIVATE hqdit_flags hqdit_kernels)
if(ort_headers)
  if(NOT EXISTS "${ort_headers}/onnxruntime_c_api.h")
    message(FATAL_ERROR "ONNXRUNTIME_INCLUDE_DIR: there is no onnxruntime_c_api.h in ${ort_headers}")
  endif()
  message(STATUS "libhqdit_ort: onnxruntime_c_api.h of ${ort_headers}")
  target_include_directories(hqdit_ort SYSTEM PRIVATE ${ort_headers})
  target_compile_definitions(hqdit_ort PRIVATE HQDIT_ORT_HEADER)
else()
  message(STATUS "libhqdit_ort: no ONNX Runtime header given, so by the declarations in ort_abi.h")
endif()

# One exported symbol: RegisterCustomOps.
if(APPLE)
  target_link_options(hqdit_ort PRIVATE LINKER:-exported_symbol,_RegisterCustomOps)
else()
  set(exports ${CMAKE_CURRENT_LIST_DIR}/onnxruntime_exports.map)
  target_link_options(hqdit_ort PRIVATE LINKER:--version-script=${exports} LINKER:-z,nodelete)
  set_target_properties(hqdit_ort PROPERTIES LINK_DEPENDS ${exports})
endif()

install(TARGETS hqdit_ort DESTINATION hqdit_mobile/lib)
