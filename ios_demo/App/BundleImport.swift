// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI
import UIKit
import UniformTypeIdentifiers

extension View {
  /// Lets the user pick the folder of a bundle, or a zip file of it.
  func bundleImporter(isPresented: Binding<Bool>, studio: Studio) -> some View {
    fileImporter(isPresented: isPresented, allowedContentTypes: [.folder, .zip]) { result in
      guard case .success(let picked) = result else { return }
      Task { await studio.importBundle(from: PickedSource(picked: picked)) }
    }
  }
}

/// What the file picker gave: access lasts from start to stop, and a file in iCloud is fetched first.
private struct PickedSource: BundleSource {
  let picked: URL

  func forEachFile(_ visit: (String, FileContent) throws -> Void) throws {
    let hasAccess = picked.startAccessingSecurityScopedResource()
    defer { if hasAccess { picked.stopAccessingSecurityScopedResource() } }
    var refusal: NSError?
    var outcome: Result<Void, any Error> = .success(())
    NSFileCoordinator().coordinate(readingItemAt: picked, error: &refusal) { file in
      outcome = Result {
        if file.hasDirectoryPath {
          try FolderSource(file).forEachFile(visit)
        } else {
          try ZipSource(file).forEachFile(visit)
        }
      }
    }
    if let refusal { throw refusal }
    try outcome.get()
  }
}
