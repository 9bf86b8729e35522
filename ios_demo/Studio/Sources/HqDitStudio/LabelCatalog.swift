// SPDX-License-Identifier: Apache-2.0
import HqDit

/// The labels of a model as two questions, what and in which style, when every label is "<subject> <style>" ("heart
/// noto"); else as one list without styles ("tench, Tinca tinca").
public struct LabelCatalog: Sendable, Hashable {
  /// What can be drawn, in the order of the labels.
  public let subjects: [String]

  /// Every style, in the order of the labels; empty for a plain list.
  public let styles: [String]

  private let labelOf: [Name: Int]

  /// Of each label.
  private let names: [Name]

  private struct Name: Hashable {
    let subject: String
    let style: String?
  }

  public init(_ labels: [String]) {
    let pairs = labels.compactMap(Self.pair)
    // A style is worth asking for when subjects share it; in a plain list the last words hardly repeat.
    let isPaired =
      pairs.count == labels.count && Set(pairs).count == pairs.count
      && Set(pairs.map(\.style)).count * 2 <= pairs.count
    names = isPaired ? pairs : labels.map { Name(subject: $0, style: nil) }
    subjects = names.map(\.subject).uniqued()
    styles = names.compactMap(\.style).uniqued()
    labelOf = Dictionary(names.enumerated().map { ($1, $0) }) { first, _ in first }
  }

  /// The styles that exist for `subject`.
  public func styles(of subject: String) -> [String] {
    styles.filter { labelOf[Name(subject: subject, style: $0)] != nil }
  }

  /// The label to ask the model for; nil if the two do not go together.
  public func label(subject: String, style: String?) -> Int? { labelOf[Name(subject: subject, style: style)] }

  /// What a text means: a whole label ("heart noto"), else a subject, in its first style; nil for none and for several.
  public func find(_ text: String) -> (subject: String, style: String?)? {
    let labels = names.map { [$0.subject, $0.style].compactMap { $0 }.joined(separator: " ") }
    let whole = LabelSearch(labels).find(text)
    if let first = whole.first { return whole.count == 1 ? (names[first].subject, names[first].style) : nil }
    let named = LabelSearch(subjects).find(text)
    guard let first = named.first, named.count == 1 else { return nil }
    return (subjects[first], styles(of: subjects[first]).first)
  }

  private static func pair(_ label: String) -> Name? {
    guard let space = label.lastIndex(of: " ") else { return nil }
    let (subject, style) = (label[..<space], label[label.index(after: space)...])
    guard !style.isEmpty, subject.contains(where: { !$0.isWhitespace }) else { return nil }
    return Name(subject: String(subject), style: String(style))
  }
}

extension Sequence where Element: Hashable {
  fileprivate func uniqued() -> [Element] {
    var seen: Set<Element> = []
    return filter { seen.insert($0).inserted }
  }
}
