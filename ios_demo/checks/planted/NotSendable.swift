// SPDX-License-Identifier: Apache-2.0
import HqDit

func notSendable(_ model: HqDit, _ request: GenerationRequest) async throws -> Int {
  var steps = 0
  _ = try await model.generate(request) { _ in steps += 1 }  // error: mutation of captured var 'steps'
  return steps
}
