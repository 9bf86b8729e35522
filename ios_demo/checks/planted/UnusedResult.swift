// SPDX-License-Identifier: Apache-2.0
import HqDit

func unusedResult(_ model: HqDit, _ request: GenerationRequest) async throws {
  try await model.generate(request)  // error: result of call to 'generate(_:onProgress:)' is unused
}
