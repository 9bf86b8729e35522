// SPDX-License-Identifier: Apache-2.0

/// What to draw. A nil takes the bundle's default.
public struct GenerationRequest: Sendable, Hashable, Codable {
  /// The class, or ``ModelInfo/nullLabel`` for a picture of no class.
  public var label: Int

  /// One picture each. The same seed gives the same picture everywhere.
  public var seeds: [UInt64]

  /// One that the model's process has: ``Scheduler/euler`` and ``Scheduler/heun`` are for flows.
  public var scheduler: Scheduler?

  /// Denoising steps, 1 to ``ModelInfo/numTrainTimesteps``.
  public var steps: Int?

  /// Weight of the class; 1 is the plain model and needs half the work. A model without a ``ModelInfo/nullLabel`` has
  /// no other.
  public var guidanceScale: Float?

  /// Noise levels, within 0 (data) to 1 (noise), at which guidance is used.
  public var guidanceInterval: ClosedRange<Float>?

  /// DDIM only, and not of a flow: the share of fresh noise in each step, 0 (deterministic) to 1.
  public var eta: Float

  /// A preview after every n-th step and the last; 0 for none.
  public var previewInterval: Int

  public init(
    label: Int,
    seeds: [UInt64],
    scheduler: Scheduler? = nil,
    steps: Int? = nil,
    guidanceScale: Float? = nil,
    guidanceInterval: ClosedRange<Float>? = nil,
    eta: Float = 0,
    previewInterval: Int = 0
  ) {
    self.label = label
    self.seeds = seeds
    self.scheduler = scheduler
    self.steps = steps
    self.guidanceScale = guidanceScale
    self.guidanceInterval = guidanceInterval
    self.eta = eta
    self.previewInterval = previewInterval
  }

  /// How a step follows from what the network predicts. The numbers are those of hqdit_scheduler_kind.
  public enum Scheduler: Int32, Sendable, Hashable, Codable, CaseIterable {
    /// DDIM (Song et al. 2021).
    case ddim = 0

    /// DPM-Solver++ 2M (Lu et al. 2022): fewer steps for the same picture.
    case dpmSolver = 1

    /// Euler's method, for models of flow matching.
    case euler = 2

    /// Heun's method, for models of flow matching: twice the work a step.
    case heun = 3
  }
}
