// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HqDit

/// The same names and classes as in tests/runtime/test_labels.py.
@Suite struct LabelSearchTests {
  private let search = LabelSearch([
    "tench, Tinca tinca", "great white shark, white shark, man-eater", "crane", "crane", "7", "\u{c9}go\u{ef}ste",
    "egoiste", "maillot", "maillot, tank suit", "Stra\u{df}e", "drake",
  ])

  @Test(arguments: [
    ("tench", 0), ("TINCA  TINCA", 0), ("White Shark", 1), ("man-eater", 1),
    ("great white shark, white shark, man-eater", 1), ("\u{c9}go\u{ef}ste", 5), ("egoiste", 6), ("maillot", 7),
    ("tank suit", 8), ("STRASSE", 9), ("\u{ff44}\u{ff52}\u{ff41}\u{ff4b}\u{ff45}", 10),
  ])
  func namesAndSynonyms(name: String, label: Int) { #expect(search.find(name) == [label]) }

  @Test func ambiguousNamesGiveEveryClass() {
    #expect(search.find("Crane") == [2, 3])
    #expect(search.find("E\u{301}goi\u{308}ste") == [5, 6])
  }

  @Test(arguments: ["", " ", ",", "\u{301}", "xylophone", "\u{b2}"])
  func nothingIsNoName(name: String) { #expect(search.find(name).isEmpty) }

  /// tests/runtime/test_labels.py has the same misses, and difflib's own shares.
  @Test(arguments: [
    ("tensh", [0]), ("shark", [1]), ("xylophone", []), ("", []), ("CRANES", [2]), ("mailot", [7]),
  ])
  func aMissHasNearestClasses(name: String, labels: [Int]) { #expect(search.nearest(name) == labels) }

  @Test(arguments: [("tench", "tensh", 0.8), ("man-eater", "eat", 0.5), ("abcd", "bcde", 0.75)])
  func similarityIsDifflibs(first: String, second: String, share: Double) {
    #expect(abs(similarity(first, second) - share) < 1e-9)
  }

  @Test func foldingKeepsWhatIsNoAccent() {
    #expect(LabelSearch.fold("  \u{ff28}eart\t\u{2764}\u{fe0f} ") == "heart \u{2764}")
    #expect(LabelSearch.fold("\u{30ac}") == LabelSearch.fold("\u{30ab}\u{3099}"))
  }

  @Test func modelsFindTheirClasses() async throws {
    let info = try await openTiny().info
    #expect(info.findLabel("CLASS 3 \u{1F642}") == [3] && info.findLabel("class").isEmpty)
    #expect(info.nearestLabels("class") == [4, 3, 2, 1, 0])
  }
}
