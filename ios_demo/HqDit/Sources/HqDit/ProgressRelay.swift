// SPDX-License-Identifier: Apache-2.0
import CHqDit

/// Hands the engine's reports to the caller, unless the generation shall stop.
final class ProgressRelay {
  private let report: ((GenerationProgress) throws -> Void)?
  private let shouldStop: () -> Bool
  /// What the caller threw.
  private(set) var failure: (any Error)?

  init(report: ((GenerationProgress) throws -> Void)?, shouldStop: @escaping () -> Bool) {
    self.report = report
    self.shouldStop = shouldStop
  }

  /// Makes `request` report here. The relay must outlive the call that the request is for.
  func listen(to request: inout hqdit_request) {
    request.user_data = Unmanaged.passUnretained(self).toOpaque()
    request.progress = { progress, relay in
      guard let progress, let relay else { return false }
      return Unmanaged<ProgressRelay>.fromOpaque(relay).takeUnretainedValue().receive(progress.pointee)
    }
  }

  /// False stops the engine.
  private func receive(_ progress: hqdit_progress) -> Bool {
    if shouldStop() { return false }
    do {
      try report?(GenerationProgress(progress))
    } catch {
      failure = error
      return false
    }
    return !shouldStop()
  }
}
