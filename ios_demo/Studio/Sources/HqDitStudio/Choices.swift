// SPDX-License-Identifier: Apache-2.0
import HqDit
import Observation

/// What the user has set so far, always something that the model can draw.
@MainActor @Observable
public final class Choices {
  public static let maxSteps = 50

  public private(set) var subject = ""
  public private(set) var style: String?
  public var seed: UInt64 = 7
  public var steps: Int {
    get { stepCount }
    set { stepCount = min(max(newValue, 1), maxSteps) }
  }
  public var guidanceScale: Float {
    get { isGuided ? guidance : 1 }
    set { guidance = newValue }
  }

  /// Whether the model has a null class to guide away from.
  public private(set) var isGuided = true

  /// The most steps that the model takes, and that are of use.
  public private(set) var maxSteps = Choices.maxSteps
  private var catalog = LabelCatalog([])
  private var stepCount = 1
  private var guidance: Float = 1
  private var chosenStyle: String?

  public init() {}

  /// Begins with the model's defaults; subject and style stay if the model has them.
  public func use(_ model: LoadedModel) {
    catalog = model.catalog
    maxSteps = min(Self.maxSteps, model.info.numTrainTimesteps)
    steps = model.info.defaultSteps
    isGuided = model.info.nullLabel != nil
    guidanceScale = model.info.defaultGuidanceScale
    choose(subject: subject)
  }

  public var subjects: [String] { catalog.subjects }

  /// Those that go with the subject.
  public var styles: [String] { catalog.styles(of: subject) }

  /// Takes the first subject for one that the model does not have, and keeps the style if it goes with the subject.
  public func choose(subject wanted: String) {
    subject = catalog.subjects.contains(wanted) ? wanted : catalog.subjects.first ?? ""
    let available = styles
    style = chosenStyle.flatMap { available.contains($0) ? $0 : nil } ?? available.first
  }

  public func choose(style wanted: String) {
    guard styles.contains(wanted) else { return }
    chosenStyle = wanted
    style = wanted
  }

  public func shuffleSeed() { seed = .random(in: 0..<1_000_000) }

  /// Takes a seed out of text that was typed or pasted; false if it is no number.
  public func setSeed(_ text: String) -> Bool {
    let digits = text.filter { !$0.isWhitespace }
    guard let number = UInt64(digits) else { return false }
    seed = number
    return true
  }

  public var wish: Wish {
    Wish(subject: subject, style: style, seed: seed, steps: steps, guidanceScale: guidanceScale)
  }

  /// Takes the settings of a picture, as far as the model has them.
  public func take(_ wish: Wish) {
    chosenStyle = wish.style ?? chosenStyle
    choose(subject: wish.subject)
    seed = wish.seed
    steps = wish.steps
    guidanceScale = wish.guidanceScale
  }

  /// The seed that is set and the three after it.
  public var fourSeeds: [UInt64] { (0..<4).map { seed &+ $0 } }
}
