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
