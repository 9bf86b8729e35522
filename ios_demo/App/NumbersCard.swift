// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// What a phone engineer looks for.
struct NumbersCard: View {
  let numbers: Numbers
  let pace: Pace

  var body: some View {
    ViewThatFits(in: .horizontal) {
      HStack(spacing: 24) { figures }
      VStack(alignment: .leading, spacing: 8) { figures }
    }
    .padding()
    .frame(maxWidth: .infinity)
    .background(.regularMaterial, in: .rect(cornerRadius: 16))
  }

  @ViewBuilder private var figures: some View {
    figure("per step", numbers.stepTime.formatted(.units(allowed: [.milliseconds], fractionalPart: .show(length: 1))))
    figure("first picture", firstPicture)
    figure("peak memory", Int64(clamping: numbers.peakMemoryBytes).formatted(.byteCount(style: .memory)))
    figure("heat", heat)
  }

  private var firstPicture: String {
    numbers.firstPictureTime.formatted(.units(allowed: [.seconds], fractionalPart: .show(length: 2)))
  }

  private func figure(_ name: LocalizedStringKey, _ value: String) -> some View {
    VStack {
      Text(value).font(.headline).monospacedDigit()
      Text(name).font(.caption).foregroundStyle(.secondary)
    }
    .accessibilityElement(children: .combine)
  }

  private var heat: String {
    switch pace {
    case .full: String(localized: "normal")
    case .slow: String(localized: "slowed down")
    case .stop: String(localized: "too hot")
    }
  }
}
