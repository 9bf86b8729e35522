// SPDX-License-Identifier: Apache-2.0
import Foundation
import HqDit
import Observation

/// The model and what it does, apart from any screen.
@MainActor @Observable
public final class Studio {
  public private(set) var stage = Stage.loading
  public private(set) var model: LoadedModel?
  public private(set) var drawing: Drawing?
  public private(set) var finished: [Finished] = []
  public private(set) var numbers: Numbers?
  public private(set) var recent: [RecentPictures.Entry] = []
  public private(set) var notice: Notice?

  /// What the phone's temperature and battery allow.
  public var pace = Pace.full {
    didSet { paceChanged() }
  }

  private let store: BundleStore
  private let pictures: RecentPictures
  private let memory: MemoryGuard
  private let rest: @Sendable (Duration) -> Void
  private var engine: HqDit?
  private var control: DrawingControl?
  private var loadTask: Task<Void, Never>?
  private var drawTask: Task<Bool, Never>?

  /// - Parameter rest: waits on the engine's thread.
  public init(
    store: BundleStore,
    pictures: RecentPictures,
    memory: MemoryGuard,
    rest: @escaping @Sendable (Duration) -> Void = { Thread.sleep(forTimeInterval: $0 / .seconds(1)) }
  ) {
    self.store = store
    self.pictures = pictures
    self.memory = memory
    self.rest = rest
  }

  /// Opens the bundle that the store has; once, however many ask for it.
  public func load() async {
    if loadTask == nil {
      loadTask = Task {
        recent = pictures.entries()
        await work { try await openModel() }
      }
    }
    await loadTask?.value
  }

  /// Replaces the bundle; if that fails, the old one stays.
  public func importBundle(from source: some BundleSource) async {
    guard stage != .drawing else { return }
    stage = .loading
    notice = nil
    await closeEngine()
    var failure: Notice?
    do { try await store.importBundle(from: source) } catch { failure = .problem(error.localizedDescription) }
    await work { try await openModel() }
    guard stage == .ready || failure != nil else { return }
    if failure == nil { (finished, numbers) = ([], nil) }
    notice = failure ?? .imported
  }

  /// Removes the bundle that was imported.
  public func removeBundle() async {
    guard stage != .drawing else { return }
    stage = .loading
    await closeEngine()
    await work {
      try await store.removeBundle()
      try await openModel()
    }
  }

  /// Draws `wish`, once for each of `seeds`, and returns when that is done or stopped: whether all were drawn.
  @discardableResult
  public func draw(_ wish: Wish, seeds: [UInt64]) async -> Bool {
    guard stage == .ready, let model, !seeds.isEmpty else { return false }
    guard let label = model.catalog.label(subject: wish.subject, style: wish.style) else { return false }
    if pace == .stop {
      notice = .tooHot
      return false
    }
    let wishes = seeds.map { seed in
      var one = wish
      one.seed = seed
      return one
    }
    stage = .drawing
    drawing = Drawing(wishes)
    notice = pace == .slow ? .slow : nil
    let request = GenerationRequest(
      label: label,
      seeds: seeds,
      steps: wish.steps,
      guidanceScale: wish.guidanceScale,
      previewInterval: model.info.hasPreview ? 1 : 0
    )
    let task = Task {
      await work {
        let (result, firstPictureTime) = try await generate(request)
        keep(result, firstPictureTime, of: wishes, by: model.info.name)
      }
    }
    drawTask = task
    let isDrawn = await withTaskCancellationHandler {
      await task.value
    } onCancel: {
      task.cancel()
    }
    (drawTask, drawing) = (nil, nil)
    return isDrawn
  }

  /// Stops the pictures in the making within one step.
  public func cancel() { control?.stop(.cancelled) }

  /// Gives back the model's memory, and stops a picture in the making. The next picture loads the model again.
  public func releaseMemory(_ reason: Notice = .lowMemory) async {
    control?.stop(reason)
    await closeEngine()
  }

  /// For an app that the user has left: lets the pictures in the making be finished, unless `timeIsOver` yields before, and
  /// gives back the model's memory.
  public func finishOrStop(when timeIsOver: AsyncStream<Void>) async {
    let ending = Task {
      for await _ in timeIsOver {
        control?.stop(.leftApp)
        return
      }
    }
    _ = await drawTask?.value
    ending.cancel()
    if stage != .drawing { await closeEngine() }
  }

  public func dismissNotice() { notice = nil }

  /// The pictures, and when the first was there.
  private func generate(_ request: GenerationRequest) async throws -> (GenerationResult, Duration) {
    let clock = ContinuousClock()
    let start = clock.now
    let control = DrawingControl(memory: memory, pace: pace, rest: rest)
    self.control = control
    defer { self.control = nil }
    let engine = try await openEngine()
    let openTime = clock.now - start
    var firstPictureTime: Duration?
    let (reports, feed) = AsyncStream.makeStream(of: GenerationProgress.self)
    async let result = {
      defer { feed.finish() }
      return try await engine.generate(request) { progress in
        feed.yield(progress)
        try control.afterStep(progress)
      }
    }()
    for await progress in reports {
      drawing?.show(progress)
      // The first is there when the second begins.
      if progress.imageIndex == 1, progress.step == 1 {
        firstPictureTime = firstPictureTime ?? openTime + progress.elapsedTime - progress.stepTime
      }
    }
    do {
      let finished = try await result
      return (finished, firstPictureTime ?? openTime + finished.totalTime)
    } catch HqDitError.closed {
      throw Stopped(reason: control.stopReason ?? .lowMemory)
    }
  }

  private func keep(_ result: GenerationResult, _ firstPictureTime: Duration, of wishes: [Wish], by model: String) {
    finished = zip(wishes, result.pictures).map { Finished(wish: $0, picture: $1, model: model) }
    let steps = wishes.reduce(0) { $0 + $1.steps }
    numbers = Numbers(
      stepTime: result.denoiseTime / steps, firstPictureTime: firstPictureTime, peakMemoryBytes: result.peakMemoryBytes)
    stage = .ready
    notice = nil
    for (index, one) in finished.enumerated() {
      do { finished[index].file = try pictures.add(one.picture, wish: one.wish, model: model).file } catch {
        notice = .problem("the picture was not kept: \(error.localizedDescription)")
      }
    }
    recent = pictures.entries()
  }

  private func openModel() async throws {
    guard let bundle = try await store.find() else {
      (stage, model) = (.noBundle, nil)
      return
    }
    let clock = ContinuousClock()
    let start = clock.now
    let info = try await openEngine().info
    model = LoadedModel(
      info: info,
      memory: try HqDit.estimate(bundle: bundle),
      catalog: LabelCatalog(info.labels),
      openTime: clock.now - start,
      card: try? String(contentsOf: bundle.appendingPathComponent("README.md"), encoding: .utf8)
    )
    stage = .ready
    notice = nil
  }

  private func openEngine() async throws -> HqDit {
    if let engine { return engine }
    guard let bundle = try await store.find() else { throw ImportError("there is no bundle: import one") }
    let opened = try await HqDit(bundle: bundle, options: OpenOptions(memoryLimitBytes: memory.limitBytes))
    engine = opened
    return opened
  }

  private func closeEngine() async {
    let closing = engine
    engine = nil
    await closing?.close()
  }

  private func paceChanged() {
    control?.set(pace)
    guard stage == .drawing else { return }
    switch pace {
    case .full: break
    case .slow: notice = .slow
    case .stop: control?.stop(.tooHot)
    }
  }

  /// Runs `task`: whether it succeeded. What goes wrong becomes a notice.
  @discardableResult
  private func work(_ task: () async throws -> Void) async -> Bool {
    do {
      try await task()
      return true
    } catch let stopped as Stopped {
      notice = stopped.reason
    } catch is CancellationError {
      notice = .cancelled
    } catch {
      notice = .problem(error.localizedDescription)
    }
    stage = model == nil ? .noBundle : .ready
    return false
  }
}
