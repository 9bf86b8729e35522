// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import HqDitStudio
import Testing

@Suite struct PictureFileTests {
  @Test func settingsComeBack() throws {
    let file = try PictureFile.encode(picture, wish: wish, model: "tiny")
    #expect(PictureFile.wish(of: file) == wish)
    #expect(PictureFile.wish(of: try picture.png()) == nil)
    for length in stride(from: 0, to: file.count, by: 3) { _ = PictureFile.wish(of: file.prefix(length)) }
    var wrong = file
    for index in stride(from: 0, to: wrong.count, by: 3) {
      wrong[index] ^= 0xFF
      _ = PictureFile.wish(of: wrong)
      wrong[index] ^= 0xFF
    }
  }

  @Test(arguments: [
    ("heart", "noto", "heart-noto-7.png"), ("tench, Tinca tinca", nil, "tench-Tinca-tinca-7.png"),
    ("../\u{1F642}", "a/b", "a-b-7.png"),
  ])
  func fileNamesArePlain(subject: String, style: String?, expected: String) {
    #expect(Wish(subject: subject, style: style, seed: 7, steps: 1, guidanceScale: 1).fileName == expected)
  }

  @Test func theLatestFiftyAreKept() throws {
    let folder = try TemporaryFolder()
    try Data().write(to: folder.url.appendingPathComponent("not ours.png"))
    let recent = RecentPictures(folder: folder.url)
    #expect(recent.entries().isEmpty)
    for seed in 1...53 {
      var one = wish
      one.seed = UInt64(seed)
      try recent.add(picture, wish: one, model: "tiny")
    }
    #expect(recent.entries().map(\.wish.seed) == Array((4...53).reversed()))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).count == 51)
  }
}
