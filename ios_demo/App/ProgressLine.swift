// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// How far the drawing is; takes its room when there is none, so that nothing jumps.
struct ProgressLine: View {
  let drawing: Drawing?

  var body: some View {
    VStack(alignment: .leading, spacing: 4) {
      ProgressView(value: drawing?.fraction ?? 0)
      status
        .font(.footnote)
        .foregroundStyle(.secondary)
    }
    .opacity(drawing == nil ? 0 : 1)
    .accessibilityElement(children: .ignore)
    .accessibilityLabel("Progress")
    .accessibilityValue(status)
    .accessibilityHidden(drawing == nil)
  }

  private var status: Text {
    guard let progress = drawing?.progress else { return Text("Loading the model") }
    if progress.phase == .decode { return Text("Finishing") }
    if progress.imageCount == 1 { return Text("Step \(progress.step) of \(progress.stepCount)") }
    let picture = progress.imageIndex + 1
    return Text("Picture \(picture) of \(progress.imageCount), step \(progress.step) of \(progress.stepCount)")
  }
}
