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
    guard let label = model.info.labels.firstIndex(of: arguments.label) else {
      throw HqDitError.notFound("\(model.info.name) does not know \"\(arguments.label)\"")
    }
    let request = GenerationRequest(
      label: label, seeds: [arguments.seed], steps: arguments.steps, guidanceScale: arguments.guidanceScale)
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

  private static func say(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

  private static func exit(saying text: String, code: Int32) -> Never {
    say("hqdit-draw: \(text)\n")
    Foundation.exit(code)
  }
}
