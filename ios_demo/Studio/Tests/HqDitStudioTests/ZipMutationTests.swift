// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import HqDitStudio

/// Changed zip files, imported as the app does it: each is read to exactly its files or refused with an ``ImportError``,
/// writes nothing outside the importer's folder, and takes little time and storage. docs/security.md has the command of a
/// long run.
@Suite struct ZipMutationTests {
  private static let mostWritten: Int64 = 1 << 20
  private static let slowSeconds = 2.0
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func mutantsAreReadToTheirFilesOrRefused() async throws {
    let (count, seed) = (number("HQDIT_MUTANTS", 2000), number("HQDIT_MUTANTS_SEED", 1))
    let first = number("HQDIT_MUTANTS_FIRST", 0)
    let mutants = ZipMutants(seed: seed)
    var outcomes: [String: Int] = [:]
    for number in first..<first + count {
      let mutant = mutants.make(number)
      let begun = processSeconds()
      let refusal = try await importing(mutant.bytes)
      let seconds = processSeconds() - begun
      let told = "mutant \(seed)-\(number) (\(mutant.kind)): \(refusal?.localizedDescription ?? "read")"
      try #require(seconds < Self.slowSeconds, "\(told), slow")
      try #require(mutant.fate != (refusal == nil ? .refused : .read), "\(told)")
      let expected = refusal == nil ? Set(mutant.files.keys.map { Data("app/current/".utf8) + $0 }) : []
      let found = try files()
      try #require(Set(found.keys) == expected, "\(told), \(found.keys.map { String(decoding: $0, as: UTF8.self) })")
      for (name, content) in refusal == nil ? mutant.files : [:] {
        try #require(found[Data("app/current/".utf8) + name] == content, "\(told), another content")
      }
      outcomes["\(mutant.kind): \(refusal == nil ? "read" : "refused")", default: 0] += 1
    }
    print("zip files of seed \(seed): \(outcomes.sorted { $0.key < $1.key })")
    func ended(_ outcome: String) -> Int { outcomes.filter { $0.key.hasSuffix(outcome) }.values.reduce(0, +) }
    #expect(ended("read") > count / 10 && ended("refused") > count / 3, "\(outcomes)")
  }

  /// The refusal, or nil if the zip file was imported. Any other error ends the test.
  private func importing(_ bytes: [UInt8]) async throws -> ImportError? {
    try? FileManager.default.removeItem(at: folder.root)
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).zip")
    try Data(bytes).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let storage = BundleImporter.reserveBytes + Self.mostWritten
    let importer = BundleImporter(root: folder.root, freeBytes: { _ in storage }, check: { _ in })
    do {
      try await importer.importBundle(from: ZipSource(file))
    } catch let refusal as ImportError {
      return refusal
    }
    return nil
  }

  /// Whatever is around the importer's folder and in it, by the bytes of its path: to Swift a letter with an accent is the
  /// same text in one scalar and in two.
  private func files() throws -> [Data: Data] {
    var files: [Data: Data] = [:]
    for path in try FileManager.default.subpathsOfDirectory(atPath: folder.url.path) {
      let file = folder.url.path + "/" + path
      let type = try FileManager.default.attributesOfItem(atPath: file)[.type] as? FileAttributeType
      if type != .typeDirectory { files[Data(path.utf8)] = try Data(contentsOf: URL(fileURLWithPath: file)) }
    }
    return files
  }

  private func number(_ variable: String, _ otherwise: UInt64) -> UInt64 {
    ProcessInfo.processInfo.environment[variable].map { UInt64($0)! } ?? otherwise
  }
}

/// Of its CPUs, so that a busy machine makes no difference.
private func processSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
