// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A changed zip file, and the only files that it may be read as: it `.read`s to them if what was changed means nothing,
/// and must not be read if it is to be `.refused`.
struct Mutant {
  enum Fate { case read, refused, either }

  let bytes: [UInt8]
  var files: [Data: Data]
  let fate: Fate
  let kind: String
}

/// Number n of a seed is always the same mutant.
struct ZipMutants {
  private let seed: UInt64
  private let plain: [Part]
  private let bomb = Part("bomb.bin", [UInt8](repeating: 0, count: 64 << 20))

  init(seed: UInt64) {
    self.seed = seed
    var random = SplitMix64(state: 1)
    plain = ["manifest.json", "weights/a.bin", "\u{E9}t\u{E9}.pte"].enumerated().map { number, name in
      Part(name, random.bytes(40 + 300 * number) + [UInt8](repeating: 0, count: 600))
    }
  }

  func make(_ number: UInt64) -> Mutant {
    var random = SplitMix64(state: seed << 40 | number)
    let parts = plain.map { vary($0, &random) }
    if random.below(400) == 0 { return bombs(&random) }
    switch random.below(5) {
    case 0: return bytes(parts, &random)
    case 1: return pieces(parts, &random)
    case 2: return numbers(parts, &random)
    case 3: return names(parts, &random)
    default: return records(parts, &random)
    }
  }

  /// The ways to write a file that all mean the same.
  private func vary(_ part: Part, _ random: inout SplitMix64) -> Part {
    var part = part
    switch random.below(5) {
    case 0: part.isDeflated = false
    case 1: part.hasDescriptor = true
    case 2: part.isZip64 = true
    case 3: part.extra = [0x55, 0x54, 5, 0, 1, 0, 0, 0, 0]
    default: break
    }
    return part
  }

  /// Any bits. If it is read, then under the names that the directory now has.
  private func bytes(_ parts: [Part], _ random: inout SplitMix64) -> Mutant {
    let zip = writeZip(parts)
    var bytes = zip.bytes
    for _ in 0..<random.one(of: [1, 1, 4, 16]) {
      // The contents are most of all bytes, so aim at the records, too.
      let record = random.one(of: zip.locals + zip.entries + [zip.end]) + random.below(60)
      let place = random.below(2) == 0 ? random.below(bytes.count) : min(record, bytes.count - 1)
      let flipped = bytes[place] ^ (1 << UInt8(random.below(8)))
      bytes[place] = random.below(2) == 0 ? random.bytes(1)[0] : flipped
    }
    var listed = parts
    for (number, place) in zip.entries.enumerated() {
      listed[number].listed = Array(bytes[(place + 46)..<(place + 46 + parts[number].listed.count)])
    }
    return Mutant(bytes: bytes, files: files(of: listed), fate: bytes == zip.bytes ? .read : .either, kind: "bytes")
  }

  /// A piece is cut out, repeated, zeroed or moved; or the file ends early, or goes on.
  private func pieces(_ parts: [Part], _ random: inout SplitMix64) -> Mutant {
    let zip = writeZip(parts)
    let all = zip.bytes
    let places = zip.locals + zip.entries + [zip.end] + (0..<6).map { _ in random.below(all.count) }
    let (one, other) = (random.one(of: places), random.one(of: places))
    let (from, until) = (min(one, other), max(one, other))
    let (before, piece, after) = (Array(all[..<from]), Array(all[from..<until]), Array(all[until...]))
    func mutant(_ bytes: [UInt8], _ otherwise: Mutant.Fate, _ kind: String) -> Mutant {
      Mutant(bytes: bytes, files: files(of: parts), fate: bytes == all ? .read : otherwise, kind: kind)
    }
    switch random.below(6) {
    case 0: return mutant(Array(all.prefix(random.below(all.count))), .refused, "cut short")
    case 1: return mutant(all + random.bytes(1 + random.below(100)), .refused, "goes on")
    case 2: return mutant(before + after, .refused, "piece cut out")
    case 3: return mutant(before + piece + piece + after, .either, "piece repeated")
    case 4: return mutant(before + [UInt8](repeating: 0, count: until - from) + after, .either, "piece zeroed")
    default: return mutant(piece + before + after, .either, "piece moved")
    }
  }

  /// One number of a record is another.
  private func numbers(_ parts: [Part], _ random: inout SplitMix64) -> Mutant {
    let zip = writeZip(parts)
    let chosen = random.below(parts.count)
    let (record, field) =
      switch random.below(3) {
      case 0: (zip.locals[chosen], random.one(of: Field.local))
      case 1: (zip.entries[chosen], random.one(of: Field.directory))
      default: (zip.end, random.one(of: Field.end))
      }
    let old = zip.number(at: record + field.offset, width: field.width)
    let all = 1 << (8 * field.width) - 1
    let others = [0, 1, old + 1, old - 1, old * 2, all, all / 2, all / 2 + 1, Int(random.next() >> 1)]
    let value = random.one(of: others) & all
    let bytes = zip.with(value, at: record + field.offset, width: field.width)
    // Of the flags only the one for encryption means something here.
    let means = field.isFlags ? value & 1 != 0 : field.matters
    let fate: Mutant.Fate = value == old || !means ? .read : .refused
    return Mutant(bytes: bytes, files: files(of: parts), fate: fate, kind: "number at \(field.offset)")
  }

  /// A file has another name, in both of its records or in one. The directory is right, says the format.
  private func names(_ parts: [Part], _ random: inout SplitMix64) -> Mutant {
    let chosen = random.below(parts.count)
    var (name, fate): ([UInt8], Mutant.Fate) =
      switch random.below(4) {
      case 0: (Array(random.one(of: badNames).utf8), .refused)
      case 1: ([0xC0, 0xAF], .refused)  // "/" in more bytes than it takes
      case 2: (random.bytes(1 + random.below(12)), .either)
      default: ((0...random.below(6)).flatMap { _ in Array(random.one(of: syllables).utf8) }, .either)
      }
    var changed = parts
    let place = random.below(3)
    if place != 1 { changed[chosen].name = name }
    if place != 0 { changed[chosen].listed = name }
    let others = parts.indices.filter { $0 != chosen }.map { parts[$0].listed }
    let slash = UInt8(ascii: "/")  // a folder, but it has content
    if name.last == slash || others.contains(name) { fate = .refused }
    if place == 0 { fate = .read }
    let kind = ["before its content", "in the directory", "twice"][place]
    return Mutant(bytes: writeZip(changed).bytes, files: files(of: changed), fate: fate, kind: "name \(kind)")
  }

  /// Whole records come in another order, are missing, come twice, or have something between them.
  private func records(_ parts: [Part], _ random: inout SplitMix64) -> Mutant {
    let order = Array(parts.indices).shuffled(using: &random)
    let folder = Part("weights/", [])
    let content = Part("weights/", [UInt8](repeating: 0, count: 9))
    let both = (parts + [Part("weights", [1, 2, 3])]).shuffled(using: &random)  // a file, and a folder for another one
    let (zip, fate): (ZipFile, Mutant.Fate) =
      switch random.below(12) {
      case 0: (writeZip(parts, listed: order), .read)
      case 1: (writeZip(parts, listed: Array(order.dropFirst())), .either)
      case 2: (writeZip(parts, listed: order + [order[0]]), .refused)
      case 3: (writeZip(parts, listed: order.map { _ in order[0] }), .refused)
      case 4: (writeZip(parts + [parts[order[0]]]), .refused)
      case 5: (writeZip(parts.shuffled(using: &random) + [folder]), .read)
      case 6: (writeZip(parts, comment: Array("PK\u{5}\u{6} as a comment".utf8)), .read)
      case 7: (writeZip(parts, between: [UInt8](repeating: 0, count: random.below(9000))), .read)
      case 8: (writeZip(parts, zip64: true), .refused)
      case 9: (writeZip([content] + parts), .refused)
      case 10: (writeZip(parts, comment: writeZip(parts).bytes), .refused)  // which of the two directories is it?
      default: (writeZip(both), .refused)
      }
    var mutant = Mutant(bytes: zip.bytes, files: files(of: parts), fate: fate, kind: "records")
    // A file that the directory does not list has been deleted.
    if zip.entries.count < parts.count { mutant.files[Data(parts[order[0]].listed)] = nil }
    return mutant
  }

  /// A few bytes that become many, files or folders.
  private func bombs(_ random: inout SplitMix64) -> Mutant {
    var hidden = bomb
    hidden.listed = Array("bomb/".utf8)
    let file = writeZip(plain + [bomb])
    let bytes =
      switch random.below(4) {
      case 0: file.bytes
      case 1: file.with(10, at: file.entries[3] + 24, width: 4)  // by its size it is none
      case 2: writeZip(plain + [hidden]).bytes
      default: writeZip(plain + (0..<2000).map { Part("f\($0)/", []) }).bytes
      }
    return Mutant(bytes: bytes, files: [:], fate: .refused, kind: "bomb")
  }

  private func files(of parts: [Part]) -> [Data: Data] {
    Dictionary(parts.map { (Data($0.listed), Data($0.content)) }) { first, _ in first }
  }
}

/// Where a record has which number, and whether another one there means something else.
private struct Field {
  let offset: Int
  let width: Int
  let matters: Bool
  var isFlags = false

  static let signature = Field(offset: 0, width: 4, matters: true)

  /// Before a file: its name's and its extra field's lengths; the directory has the rest, too, and is right.
  static let local =
    [signature] + [26, 28].map { Field(offset: $0, width: 2, matters: true) }
    + [4, 6, 8, 10, 12].map { Field(offset: $0, width: 2, matters: false) }
    + [14, 18, 22].map { Field(offset: $0, width: 4, matters: false) }

  /// In the directory: method, checksum, both sizes, the lengths, where the file is; not versions, time or attributes.
  static let directory =
    [signature] + [10, 28, 30, 32].map { Field(offset: $0, width: 2, matters: true) }
    + [16, 20, 24, 42].map { Field(offset: $0, width: 4, matters: true) }
    + [4, 6, 12, 14, 34, 36].map { Field(offset: $0, width: 2, matters: false) }
    + [Field(offset: 38, width: 4, matters: false), Field(offset: 8, width: 2, matters: true, isFlags: true)]

  /// At the end: number of entries, size and place of the directory, a comment's length; not the numbers of disks.
  static let end =
    [signature] + [10, 20].map { Field(offset: $0, width: 2, matters: true) }
    + [12, 16].map { Field(offset: $0, width: 4, matters: true) }
    + [4, 6, 8].map { Field(offset: $0, width: 2, matters: false) }
}

/// None of which may become a file. To Swift the slash of the last ones is no character of its own.
private let badNames =
  ["..", ".", "", "/", "//", "../a", "a/../../b", "../../../../../../tmp/a", "/etc/a", "/tmp/a", "./a", "a/."]
  + ["a/../a", "a//b", "a\\b", "..\\a", "C:\\a", "1/2/3/4/5", "manifest.json/b", "a\0b", "a\0", "a\nb", "\u{1B}[31m"]
  + ["a\u{7F}", "a\u{85}b", String(repeating: "x", count: 201), String(repeating: "\u{E9}", count: 101)]
  + ["a/" + String(repeating: "x", count: 4000), "../\u{301}a", "\u{600}/../\u{301}a", "a/../\u{301}b", "\u{600}/.."]

private let syllables =
  ["..", ".", "/", "/", "a", "b", "weights", "a.bin", "\\", "\u{1}", " ", "\u{E9}", "\u{202E}", "\u{1F642}"]
  + ["\u{301}", "\u{600}", "\u{200D}", "\u{FEFF}", "e\u{301}", "\u{1F1E9}"]

/// The same numbers every time.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ end: Int) -> Int { Int.random(in: 0..<end, using: &self) }

  mutating func one<T>(of values: [T]) -> T { values[below(values.count)] }

  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}
