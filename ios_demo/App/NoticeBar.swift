// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// A word to the user, until it is sent away.
struct NoticeBar: View {
  let notice: Notice
  let dismiss: @MainActor () -> Void

  var body: some View {
    HStack(alignment: .firstTextBaseline) {
      Image(systemName: notice.symbol).accessibilityHidden(true)
      NoticeText(notice: notice).frame(maxWidth: .infinity, alignment: .leading)
      Button("Close", systemImage: "xmark", action: dismiss)
        .labelStyle(.iconOnly)
        .frame(minWidth: 44, minHeight: 44)
    }
    .padding(.horizontal, 12)
    .background(.regularMaterial, in: .rect(cornerRadius: 16))
  }
}

extension Notice {
  fileprivate var symbol: String {
    switch self {
    case .problem: "exclamationmark.triangle"
    case .cancelled, .leftApp: "stop.circle"
    case .imported: "checkmark.circle"
    case .slow, .tooHot: "thermometer.medium"
    case .lowMemory: "memorychip"
    }
  }
}
