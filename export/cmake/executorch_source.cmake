# SPDX-License-Identifier: Apache-2.0
# ExecuTorch from source, as static libraries, for the phones: the runtime, its CPU kernels, the XNNPACK backend and the
# thread pool. Sets HQDIT_EXECUTORCH to what the engine links. The commit is that of release 1.5.1, which hqdit-mobile
# pins for the export. HQDIT_EXECUTORCH_PAL says where its log goes: "android" to logcat, "posix" to the error output.
include(FetchContent)

foreach(part XNNPACK KERNELS_OPTIMIZED EXTENSION_DATA_LOADER PTHREADPOOL CPUINFO)
  set(EXECUTORCH_BUILD_${part} ON)
endforeach()
foreach(part EXECUTOR_RUNNER EXTENSION_MODULE EXTENSION_RUNNER_UTIL TESTS DEVTOOLS)
  set(EXECUTORCH_BUILD_${part} OFF)
endforeach()
set(EXECUTORCH_ENABLE_LOGGING ON)  # the engine's messages quote it
set(EXECUTORCH_PAL_DEFAULT ${HQDIT_EXECUTORCH_PAL})

set(submodules third-party/flatbuffers third-party/flatcc third-party/gflags third-party/json third-party/pocketfft)
list(APPEND submodules kernels/optimized/third-party/eigen)
foreach(name FP16 FXdiv XNNPACK cpuinfo pthreadpool)
  list(APPEND submodules backends/xnnpack/third-party/${name})
endforeach()

# Its headers include each other as <executorch/...>, so the folder must have that name.
FetchContent_Declare(
  executorch
  GIT_REPOSITORY https://github.com/pytorch/executorch.git
  GIT_TAG 3b60683923245cf472b7323426920e15623ba361 # v1.5.1
  GIT_SUBMODULES ${submodules}
  GIT_PROGRESS ON
  SOURCE_DIR ${CMAKE_BINARY_DIR}/executorch
  EXCLUDE_FROM_ALL)
FetchContent_MakeAvailable(executorch)

set(HQDIT_EXECUTORCH executorch extension_threadpool executorch::backends executorch::extensions executorch::kernels)
