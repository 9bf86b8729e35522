// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

extension View {
  /// Tells VoiceOver's users when a drawing begins, is half done and ends.
  func announcing(_ studio: Studio) -> some View {
    onChange(of: studio.stage) { old, new in
      if new == .drawing { announce(String(localized: "Drawing")) }
      if old == .drawing, !studio.finished.isEmpty, studio.notice == nil {
        announce(String(localized: "The picture is ready"))
      }
    }
    .onChange(of: (studio.drawing?.fraction ?? 0) >= 0.5) { _, isHalf in
      if isHalf { announce(String(localized: "Half done")) }
    }
  }
}

private func announce(_ text: String) { AccessibilityNotification.Announcement(text).post() }
