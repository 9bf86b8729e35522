# SPDX-License-Identifier: Apache-2.0
# ONNX Runtime's C header out of its Android archive, by Maven coordinates. Included by bindings/onnxruntime.cmake, or on
# its own: cmake -DFOLDER=headers -P onnxruntime_header.cmake
set(ONNXRUNTIME_ARCHIVE com.microsoft.onnxruntime:onnxruntime-android:1.22.0:aar)
# Of the file that is compiled, which is the same in every archive of this release.
set(ONNXRUNTIME_HEADER_SHA256 d683537d0fdc29e977b5520f7f15d87a0ac212ae6d94fa9be8893a52655621ae)

# Puts onnxruntime_c_api.h into `folder`; a header that is there already is only checked.
function(hqdit_fetch_onnxruntime_header folder)
  set(header ${folder}/onnxruntime_c_api.h)
  set(instead "Give ONNXRUNTIME_INCLUDE_DIR, or leave HQDIT_FETCH_ONNXRUNTIME_HEADER off: ort_abi.h is enough to build.")
  if(NOT EXISTS ${header})
    find_program(MAVEN mvn)
    if(NOT MAVEN)
      message(FATAL_ERROR "${ONNXRUNTIME_ARCHIVE} is fetched by Maven, and there is no mvn on the PATH. ${instead}")
    endif()
    set(unpacked ${folder}/archive)
    file(MAKE_DIRECTORY ${unpacked})
    execute_process(
      COMMAND ${MAVEN} -q -B dependency:copy -Dartifact=${ONNXRUNTIME_ARCHIVE} -DoutputDirectory=${unpacked}
      WORKING_DIRECTORY ${unpacked} RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
    file(GLOB archive ${unpacked}/*.aar)
    if(failed OR NOT archive)
      message(FATAL_ERROR "Maven cannot get ${ONNXRUNTIME_ARCHIVE}. ${instead}\n${output}")
    endif()
    file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${unpacked} PATTERNS headers/*.h)
    file(GLOB headers ${unpacked}/headers/*.h)
    file(COPY ${headers} DESTINATION ${folder})
    file(REMOVE_RECURSE ${unpacked})
  endif()
  file(SHA256 ${header} found)
  if(NOT found STREQUAL ONNXRUNTIME_HEADER_SHA256)
    message(FATAL_ERROR "${header} has the sha256 ${found}, not ${ONNXRUNTIME_HEADER_SHA256}: it is not the one of "
                        "${ONNXRUNTIME_ARCHIVE}. Remove it and configure again. ${instead}")
  endif()
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  hqdit_fetch_onnxruntime_header(${FOLDER})
endif()
