// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import HqDitStudio

@Suite struct ZipTests {
  @Test(arguments: zipFiles("good"))
  func whatPythonPacksComesOut(file: URL) throws {
    let files = try unpack(ZipSource(file))
    let expected = try contents(of: tiny)
    #expect(Set(files.values) == Set(expected.values))
    #expect(Set(files.keys.map { $0.split(separator: "/").last.map(String.init) }) == Set(expected.keys.map { $0 }))
  }

  /// The text file beside each says which word the complaint must hold.
  @Test(arguments: zipFiles("bad"))
  func whatIsWrongIsRefused(file: URL) async throws {
    let folder = try TemporaryFolder()
    let word = try String(contentsOf: file.deletingPathExtension().appendingPathExtension("txt"), encoding: .utf8)
    await #expect {
      try await folder.store().importBundle(from: ZipSource(file))
    } throws: { error in
      error is ImportError && error.localizedDescription.contains(word)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.root.path).isEmpty, "nothing is left")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["app"], "nothing outside")
  }

  @Test func anyByteMayBeWrong() throws {
    let folder = try TemporaryFolder()
    let good = try Data(contentsOf: try #require(zipFiles("good").first))
    let expected = try unpack(ZipSource(try #require(zipFiles("good").first)))
    var generator = SplitMix64(state: 19)
    var refused = 0
    for round in 0..<160 {
      var bad = round % 4 == 0 ? good.prefix(Int.random(in: 0..<good.count, using: &generator)) : good
      for _ in 0..<(bad.isEmpty ? 0 : 1 + round % 3) {
        // The directory and the headers are few of all bytes, so aim at them, too.
        let range = round % 2 == 0 ? max(0, bad.count - 400)..<bad.count : 0..<bad.count
        bad[bad.startIndex + Int.random(in: range, using: &generator)] = .random(in: 0...255, using: &generator)
      }
      let file = folder.url.appendingPathComponent("\(round).zip")
      try bad.write(to: file)
      do {
        let files = try unpack(ZipSource(file))
        #expect(files.count <= expected.count)
      } catch is ImportError {
        refused += 1
      }
      try FileManager.default.removeItem(at: file)
    }
    #expect(refused > 80, "most of these are damaged")
  }

  private func unpack(_ source: ZipSource) throws -> [String: Data] {
    var files: [String: Data] = [:]
    try source.forEachFile { path, content in
      var whole = Data()
      try content { whole.append($0) }
      files[path] = whole
    }
    return files
  }
}

/// The same numbers every time.
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
