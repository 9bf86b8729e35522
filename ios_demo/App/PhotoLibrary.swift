// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import Photos
import SwiftUI

/// Adds pictures to Photos, which it can't read.
enum PhotoLibrary {
  enum Outcome: Sendable {
    case saved
    case notAllowed
    case failed

    var text: LocalizedStringKey {
      switch self {
      case .saved: "Saved to Photos"
      case .notAllowed: "Photos may not be added: allow it in Settings, under HQ-DiT"
      case .failed: "The picture could not be saved"
      }
    }
  }

  static func save(_ finished: [Finished]) async -> Outcome {
    guard await PHPhotoLibrary.requestAuthorization(for: .addOnly) == .authorized else { return .notAllowed }
    do {
      let files = try finished.map { try $0.png() }
      // The block runs on a queue of Photos, so it must not belong to the main actor.
      try await PHPhotoLibrary.shared().performChanges { @Sendable in
        for file in files { PHAssetCreationRequest.forAsset().addResource(with: .photo, data: file, options: nil) }
      }
      return .saved
    } catch {
      return .failed
    }
  }
}
