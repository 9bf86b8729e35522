# SPDX-License-Identifier: Apache-2.0
# libhqdit_ort: our operators for ONNX Runtime 1.17 and newer. It needs nothing of ONNX Runtime to build (ort_abi.h). To
# build against the official header give ONNXRUNTIME_INCLUDE_DIR, a folder with onnxruntime_c_api.h: the folder
# headers/ of the Android archive has it (Maven coordinates com.microsoft.onnxruntime:onnxruntime-android).
set(ONNXRUNTIME_INCLUDE_DIR "" CACHE PATH "Folder of onnxruntime_c_api.h; empty: the declarations in ort_abi.h")

foreach(source onnxruntime_ops ort_fp4_linear ort_op ort_step_ops)
  list(APPEND ort_sources ${CMAKE_CURRENT_LIST_DIR}/${source}.cpp)
endforeach()
add_library(hqdit_ort SHARED ${ort_sources})
target_link_libraries(hqdit_ort PRIVATE hqdit_flags hqdit_kernels)
if(ONNXRUNTIME_INCLUDE_DIR)
  if(NOT EXISTS "${ONNXRUNTIME_INCLUDE_DIR}/onnxruntime_c_api.h")
    message(FATAL_ERROR "ONNXRUNTIME_INCLUDE_DIR: there is no onnxruntime_c_api.h in ${ONNXRUNTIME_INCLUDE_DIR}")
  endif()
  target_include_directories(hqdit_ort SYSTEM PRIVATE ${ONNXRUNTIME_INCLUDE_DIR})
  target_compile_definitions(hqdit_ort PRIVATE HQDIT_ORT_HEADER)
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
