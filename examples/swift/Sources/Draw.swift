// SPDX-License-Identifier: Apache-2.0
// Draws one picture with a bundle: swift run draw BUNDLE LABEL SEED OUTPUT.png
import Foundation
import HqDit

private let memoryLimit: UInt64 = 2_000_000_000

/// A picture of the class `label`, or nil when `keepGoing` returned false before it was done.
func draw(
  bundle: URL, label: String, seed: UInt64, keepGoing: @escaping @Sendable (_ step: Int, _ steps: Int) -> Bool
) async throws -> Picture? {
  let needed = try HqDit.estimate(bundle: bundle).peakBytes
  // On iOS ask os_proc_available_memory() what is free instead.
  guard needed < memoryLimit else { throw HqDitError.memoryLimit("the bundle needs \(needed) bytes of memory") }
  let model = try await HqDit(bundle: bundle, options: OpenOptions(memoryLimitBytes: memoryLimit))
  guard let index = model.info.labels.firstIndex(of: label) else {
    throw HqDitError.notFound("the bundle has no class \(label)")
  }
  do {
    let result = try await model.generate(GenerationRequest(label: index, seeds: [seed])) { progress in
      if !keepGoing(progress.step, progress.stepCount) { throw CancellationError() }
    }
    return result.pictures[0]
  } catch is CancellationError {
    return nil
  }
}

@main
enum Main {
  static func main() async {
    let arguments = CommandLine.arguments
    guard arguments.count == 5, let seed = UInt64(arguments[3]) else {
      fail("usage: draw BUNDLE LABEL SEED OUTPUT.png", code: 2)
    }
    do {
      let bundle = URL(fileURLWithPath: arguments[1])
      let picture = try await draw(bundle: bundle, label: arguments[2], seed: seed) { step, steps in
        print("step \(step) of \(steps)")
        return true
      }
      try picture?.png().write(to: URL(fileURLWithPath: arguments[4]), options: .atomic)
    } catch {
      fail(error.localizedDescription, code: 1)
    }
  }

  private static func fail(_ text: String, code: Int32) -> Never {
    FileHandle.standardError.write(Data("draw: \(text)\n".utf8))
    exit(code)
  }
}
