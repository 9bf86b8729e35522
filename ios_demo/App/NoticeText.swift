// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

struct NoticeText: View {
  let notice: Notice

  var body: some View {
    if case .problem(let text) = notice { Text(verbatim: text) } else { Text(notice.text) }
  }
}

extension Notice {
  var text: LocalizedStringResource {
    switch self {
    case .problem(let text): LocalizedStringResource(stringLiteral: text)
    case .cancelled: "Cancelled"
    case .imported: "The bundle is ready"
    case .slow: "The device is warm or saves power, so this goes slower"
    case .tooHot: "The device is too hot to draw. Let it cool down"
    case .lowMemory: "Stopped: the device is short of memory. Close other apps and draw again"
    case .leftApp: "Stopped, since the app was left. Draw again"
    }
  }
}
