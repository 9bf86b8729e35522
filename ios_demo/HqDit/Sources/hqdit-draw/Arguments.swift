// SPDX-License-Identifier: Apache-2.0

/// What the command line asks for.
struct Arguments {
  static let usage = """
    usage: hqdit-draw BUNDLE --label NAME [--seed N] [--steps N] [--guidance X] [--output FILE.png]
    Draws one picture with a bundle of hqdit-export.
    """

  var bundle = ""
  var label = ""
  var seed: UInt64 = 0
  var steps: Int?
  var guidanceScale: Float?
  var output = "picture.png"

  init(_ words: [String]) throws {
    var rest = words[...]
    while let word = rest.popFirst() {
      switch word {
      case "--label": label = try Self.value(of: word, in: &rest)
      case "--seed": seed = try Self.number(word, in: &rest)
      case "--steps": steps = try Self.number(word, in: &rest) as Int
      case "--guidance": guidanceScale = try Self.number(word, in: &rest) as Float
      case "--output", "-o": output = try Self.value(of: word, in: &rest)
      case _ where word.hasPrefix("-"): throw Problem("there is no option \(word)")
      case _ where !bundle.isEmpty: throw Problem("one bundle at a time, not also \(word)")
      default: bundle = word
      }
    }
    if bundle.isEmpty { throw Problem("BUNDLE is missing: the folder that hqdit-export wrote") }
    if label.isEmpty { throw Problem("--label is missing: the name of what to draw") }
  }

  private static func value(of option: String, in rest: inout ArraySlice<String>) throws -> String {
    guard let value = rest.popFirst() else { throw Problem("\(option) needs a value") }
    return value
  }

  private static func number<Number: LosslessStringConvertible>(
    _ option: String, in rest: inout ArraySlice<String>
  ) throws -> Number {
    let text = try value(of: option, in: &rest)
    guard let number = Number(text) else { throw Problem("\(option) needs a number, not \(text)") }
    return number
  }

  struct Problem: Error {
    let text: String
    init(_ text: String) { self.text = text }
  }
}
