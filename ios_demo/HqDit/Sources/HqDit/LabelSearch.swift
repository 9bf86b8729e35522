// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Finds classes by what people type: without regard to case, accents and compatibility forms, by the whole name or by
/// one of the synonyms that commas divide ("great white shark, white shark, man-eater").
///
/// The rule is that of hqdit_mobile/runtime/labels.py, so that a name means the same class on a phone and on a desktop.
public struct LabelSearch: Sendable {
  private static let nearestCount = 5
  private static let leastShare = 0.6

  private let labels: [String]
  private let folded: [String]

  public init(_ labels: [String]) {
    self.labels = labels
    folded = labels.map(Self.fold)
  }

  /// The classes that `name` means: of the whole name as it is, else folded, else of a synonym. One is the class; with
  /// none or several there is nothing to draw without asking.
  public func find(_ name: String) -> [Int] {
    // Code by code: Swift's == takes a letter with an accent and its two parts for the same.
    let exact = labels.indices.filter { labels[$0].utf8.elementsEqual(name.utf8) }
    let wanted = Self.fold(name)
    if !exact.isEmpty || wanted.isEmpty { return exact }
    let whole = labels.indices.filter { folded[$0] == wanted }
    return whole.isEmpty ? labels.indices.filter { synonyms(folded[$0]).contains(wanted) } : whole
  }

  /// Classes to offer where ``find(_:)`` gives none: with a synonym spelt like `name` or holding it, the nearest first.
  public func nearest(_ name: String) -> [Int] {
    let wanted = Self.fold(name)
    let named = labels.indices.flatMap { label in synonyms(folded[label]).map { ($0, label) } }
    let classes = Dictionary(named) { first, _ in first }
    let alike = classes.keys.map { (text: $0, share: similarity($0, wanted)) }.filter { $0.share >= Self.leastShare }
    let spelt = alike.sorted { first, second in
      first.share == second.share ? isBefore(second.text, first.text) : first.share > second.share
    }
    let holding = wanted.isEmpty ? [] : named.filter { $0.0.contains(wanted) }.compactMap { classes[$0.0] }
    var offered: [Int] = []
    for label in spelt.prefix(Self.nearestCount).compactMap({ classes[$0.text] }) + holding
    where !offered.contains(label) {
      offered.append(label)
    }
    return Array(offered.prefix(Self.nearestCount))
  }

  /// `text` without case, accents, compatibility forms and the width of spaces.
  public static func fold(_ text: String) -> String {
    // By way of the upper case, which is "SS" for "ß"; letter by letter back, without a final sigma of its own.
    let upper = text.decomposedStringWithCompatibilityMapping.uppercased()
    let lower = upper.unicodeScalars.map(\.properties.lowercaseMapping).joined()
    let letters = lower.decomposedStringWithCompatibilityMapping.unicodeScalars
      .filter { $0.properties.generalCategory != .nonspacingMark }
    let words = letters.split { $0.properties.isWhitespace }
    return words.map { String($0) }.joined(separator: " ")
  }
}

private func isBefore(_ first: String, _ second: String) -> Bool {
  first.unicodeScalars.lexicographicallyPrecedes(second.unicodeScalars)
}

private func synonyms(_ folded: String) -> [String] {
  folded.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
}
