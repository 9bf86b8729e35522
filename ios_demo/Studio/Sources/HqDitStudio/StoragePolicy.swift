// SPDX-License-Identifier: Apache-2.0
import Foundation

enum StoragePolicy {
  /// Lets the engine read a bundle while the phone is locked, which pages in mapped files at any time, and leaves it out of
  /// backups: it can be imported again. Neither is worth failing for, and renaming may undo them, so set them last.
  static func apply(to bundle: URL) {
    let manager = FileManager.default
    let files = (manager.enumerator(at: bundle, includingPropertiesForKeys: nil)?.allObjects ?? []).compactMap {
      $0 as? URL
    }
    for file in [bundle] + files {
      try? manager.setAttributes(
        [.protectionKey: FileProtectionType.completeUntilFirstUserAuthentication], ofItemAtPath: file.path)
    }
    var values = URLResourceValues()
    values.isExcludedFromBackup = true
    var folder = bundle
    try? folder.setResourceValues(values)
  }
}
