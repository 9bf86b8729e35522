// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Testing

/// The bundle of tests/tiny_model.py: 5 classes, pictures of 16 x 16, latents of 8 x 8, 10 steps at guidance 3.
let tiny = folder(of: "HQDIT_TINY")

/// The same, but the classes of its transformer are not numbers.
let tinyOfNaN = folder(of: "HQDIT_NAN")

/// Where tests leave what the Python side compares.
let output = folder(of: "HQDIT_OUTPUT")

private func folder(of variable: String) -> URL {
  guard let path = ProcessInfo.processInfo.environment[variable] else { fatalError("\(variable) is not set") }
  return URL(fileURLWithPath: path, isDirectory: true)
}

func openTiny() async throws -> HqDit { try await HqDit(bundle: tiny, options: OpenOptions(threads: 1)) }

func request(seeds: [UInt64] = [7], steps: Int? = nil, previewInterval: Int = 0) -> GenerationRequest {
  GenerationRequest(label: 2, seeds: seeds, steps: steps, previewInterval: previewInterval)
}

extension HqDit {
  func draw(_ request: GenerationRequest) throws -> Data { try generate(request).pictures[0].rgb }
}

/// A folder that is removed with the test.
final class TemporaryFolder {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString, isDirectory: true)

  init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(at: url) }

  func copyOfTiny(named name: String) throws -> URL {
    let copy = url.appendingPathComponent(name, isDirectory: true)
    try FileManager.default.copyItem(at: tiny, to: copy)
    return copy
  }
}

/// What callbacks of several threads put together.
final class Log<Entry: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var stored: [Entry] = []

  var entries: [Entry] { lock.withLock { stored } }

  func append(_ entry: Entry) { lock.withLock { stored.append(entry) } }
}
