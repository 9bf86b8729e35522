// SPDX-License-Identifier: Apache-2.0
import CHqDit
import Foundation

/// An open pipeline of hqdit.h. Its owner makes one call at a time.
final class Engine: @unchecked Sendable {
  private let pipeline: OpaquePointer

  static var version: String { String(cString: hqdit_version()) }

  init(bundle: URL, options: OpenOptions) throws {
    var settings = hqdit_open_options()
    hqdit_open_options_init(&settings, MemoryLayout<hqdit_open_options>.size)
    settings.memory_limit_bytes = options.memoryLimitBytes
    settings.verify_sha256 = options.verifySHA256
    settings.threads = try int32(options.threads, "threads")
    settings.load_mode = options.loadMode.rawValue
    let keys = try options.keyBytes()
    settings.public_key_count = keys.count / 32
    var opened: OpaquePointer?
    try keys.withUnsafeBufferPointer { keys in
      settings.public_keys = keys.baseAddress
      try withPath(of: bundle) { try HqDitError.check(hqdit_open($0, &settings, &opened)) }
    }
    guard let opened else { throw HqDitError.internalFault("hqdit_open gave no pipeline") }
    pipeline = opened
  }

  deinit { hqdit_close(pipeline) }

  static func estimate(bundle: URL) throws -> MemoryEstimate {
    try memory { figures in try withPath(of: bundle) { try HqDitError.check(hqdit_estimate($0, &figures)) } }
  }

  func memory() throws -> MemoryEstimate {
    try Self.memory { try HqDitError.check(hqdit_get_memory(pipeline, &$0)) }
  }

  private static func memory(_ read: (inout hqdit_memory) throws -> Void) rethrows -> MemoryEstimate {
    var figures = hqdit_memory()
    figures.struct_size = MemoryLayout<hqdit_memory>.size
    try read(&figures)
    return MemoryEstimate(figures)
  }

  func info() throws -> ModelInfo {
    var info = hqdit_info()
    info.struct_size = MemoryLayout<hqdit_info>.size
    try HqDitError.check(hqdit_get_info(pipeline, &info))
    let labels = (0..<info.num_classes).map { String(cString: hqdit_label_name(pipeline, $0)) }
    return try ModelInfo(info, labels: labels)
  }

  func generate(_ request: GenerationRequest, size: ModelInfo, relay: ProgressRelay) throws -> GenerationResult {
    var settings = try self.settings(of: request)
    var result = hqdit_result()
    hqdit_result_init(&result, MemoryLayout<hqdit_result>.size)
    let rgb = try PixelBuffer(width: size.imageWidth, height: size.imageHeight, count: request.seeds.count)
    result.rgb = rgb.bytes
    result.rgb_bytes = rgb.size
    let status = request.seeds.withUnsafeBufferPointer { seeds in
      settings.seeds = seeds.baseAddress
      settings.seed_count = seeds.count
      return withExtendedLifetime(relay) {
        relay.listen(to: &settings)
        return hqdit_generate(pipeline, &settings, &result)
      }
    }
    if let failure = relay.failure { throw failure }
    if status == HQDIT_CANCELLED { throw CancellationError() }
    try HqDitError.check(status)
    return GenerationResult(result, pictures: rgb.pictures())
  }

  private func settings(of request: GenerationRequest) throws -> hqdit_request {
    var settings = hqdit_request()
    try HqDitError.check(hqdit_request_init(pipeline, &settings, MemoryLayout<hqdit_request>.size))
    settings.label = try int32(request.label, "label")
    if let scheduler = request.scheduler { settings.scheduler = scheduler.rawValue }
    if let steps = request.steps { settings.steps = try int32(steps, "steps") }
    if let scale = request.guidanceScale { settings.guidance_scale = scale }
    if let interval = request.guidanceInterval {
      settings.guidance_low = interval.lowerBound
      settings.guidance_high = interval.upperBound
    }
    settings.eta = request.eta
    settings.preview_interval = try int32(request.previewInterval, "previewInterval")
    return settings
  }
}

private func int32(_ number: Int, _ name: String) throws -> Int32 {
  guard let narrow = Int32(exactly: number) else {
    throw HqDitError.invalidArgument("\(name) is \(number), beyond what the engine can count")
  }
  return narrow
}

private func withPath(of bundle: URL, _ body: (UnsafePointer<CChar>) throws -> Void) throws {
  guard bundle.isFileURL else { throw HqDitError.invalidArgument("the bundle must be a folder, not \(bundle)") }
  try bundle.withUnsafeFileSystemRepresentation { path in
    guard let path else { throw HqDitError.invalidArgument("\(bundle) is not a path of this system") }
    try body(path)
  }
}
