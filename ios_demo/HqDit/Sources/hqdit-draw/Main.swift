// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit

/// Draws a picture to a PNG file: the library without an app around it.
@main
enum Main {
  static func main() async {
    do {
      try await draw(Arguments(Array(CommandLine.arguments.dropFirst())))
    } catch let problem as Arguments.Problem {
      exit(saying: "\(problem.text)\n\(Arguments.usage)", code: 2)
    } catch {
      exit(saying: error.localizedDescription, code: 1)
    }
  }

  private static func draw(_ arguments: Arguments) async throws {
    let model = try await HqDit(bundle: URL(fileURLWithPath: arguments.bundle))
    let request = GenerationRequest(
      label: try label(arguments.label, of: model.info), seeds: [arguments.seed], steps: arguments.steps,
      guidanceScale: arguments.guidanceScale)
    let result = try await model.generate(request) { progress in
      say("\rstep \(progress.step) of \(progress.stepCount)")
    }
    let text: KeyValuePairs = [
      "Title": arguments.label, "Description": "\(model.info.name), seed \(arguments.seed)",
      "Software": "hqdit-mobile \(HqDit.version)",
    ]
    try result.pictures[0].png(text: text).write(to: URL(fileURLWithPath: arguments.output), options: .atomic)
    say("\rdrew \(arguments.output) in \(result.totalTime.formatted(.units(allowed: [.seconds, .milliseconds])))\n")
  }

  /// By the rule of `hqdit sample`, but for numbers.
  private static func label(_ name: String, of info: ModelInfo) throws -> Int {
    let found = info.findLabel(name)
    if found.count > 1 {
      let names = found.map { "\($0) \"\(info.labels[$0])\"" }.joined(separator: ", ")
      throw HqDitError.invalidArgument("\"\(name)\" is the name of \(found.count) classes: \(names)")
    }
    if let label = found.first { return label }
    let near = info.nearestLabels(name).map { "\"\(info.labels[$0])\"" }.joined(separator: ", ")
    let hint = near.isEmpty ? "" : "; near it are \(near)"
    throw HqDitError.notFound("\(info.name) does not know \"\(name)\"\(hint)")
  }

  private static func say(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

  private static func exit(saying text: String, code: Int32) -> Never {
    say("hqdit-draw: \(text)\n")
    Foundation.exit(code)
  }
}
