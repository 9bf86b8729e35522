// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A Diffusion Transformer that draws on this device: an exported bundle, opened.
///
///     let model = try await HqDit(bundle: folder)
///     let result = try await model.generate(GenerationRequest(label: 12, seeds: [7]))
///     show(result.pictures[0])
///
/// The engine runs on a thread of its own, so no call blocks its caller or a thread of the concurrency runtime. One model
/// makes one generation at a time and lets the others wait for their turn; two models work side by side.
public actor HqDit {
  /// What the model is and what it draws.
  public nonisolated let info: ModelInfo

  /// What it needs, as ``estimate(bundle:)`` tells of a bundle that is not open.
  public nonisolated let memory: MemoryEstimate

  private nonisolated let executor: EngineExecutor
  private nonisolated let closing = Flag()
  private var engine: Engine?

  /// The actor's calls run on the engine's thread.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// Opens the folder `bundle`, whose files must not change until ``close()``.
  ///
  /// - Throws: ``HqDitError`` with the engine's message; `CancellationError` if the task was cancelled meanwhile.
  public init(bundle: URL, options: OpenOptions = OpenOptions()) async throws {
    try Task.checkCancellation()
    let executor = EngineExecutor()
    let (engine, info, memory) = try await executor.run {
      let engine = try Engine(bundle: bundle, options: options)
      return (engine, try engine.info(), try engine.memory())
    }
    try Task.checkCancellation()
    self.executor = executor
    self.engine = engine
    self.info = info
    self.memory = memory
  }

  /// Draws one picture for each seed of a request.
  ///
  /// Cancelling the task stops the engine within one step.
  ///
  /// - Parameters:
  ///   - request: what to draw.
  ///   - onProgress: hears of every step, on the engine's thread, which waits for it. What it throws stops the generation
  ///     and is thrown from here.
  /// - Throws: `CancellationError` when the task was cancelled, ``HqDitError/closed`` after ``close()``, else
  ///   ``HqDitError`` with the engine's message.
  public func generate(
    _ request: GenerationRequest,
    onProgress: (@Sendable (GenerationProgress) throws -> Void)? = nil
  ) throws -> GenerationResult {
    try Task.checkCancellation()
    guard let engine, !closing.isRaised else { throw HqDitError.closed }
    let relay = ProgressRelay(report: onProgress) { [closing] in Task.isCancelled || closing.isRaised }
    do {
      return try engine.generate(request, size: info, relay: relay)
    } catch is CancellationError where closing.isRaised && !Task.isCancelled {
      throw HqDitError.closed
    }
  }

  /// Stops a running generation, waits for it and frees the model. Closing twice is fine.
  public nonisolated func close() async {
    closing.raise()
    await release()
  }

  private func release() { engine = nil }

  /// Version of the engine, "major.minor.patch".
  public static var version: String { Engine.version }

  /// What `bundle` will need, from its manifest alone: nothing is loaded.
  ///
  /// - Throws: ``HqDitError/notFound(_:)`` or ``HqDitError/invalidBundle(_:)``.
  public static func estimate(bundle: URL) throws -> MemoryEstimate { try Engine.estimate(bundle: bundle) }
}
