// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI
import UIKit
import UniformTypeIdentifiers

/// Share, save and copy the picture; of four, the first.
struct PictureActions: View {
  let finished: [Finished]
  let choices: Choices
  @State private var saved: PhotoLibrary.Outcome?

  var body: some View {
    if let first = finished.first {
      VStack(spacing: 8) {
        ViewThatFits(in: .horizontal) {
          HStack { buttons(first) }
          VStack(alignment: .leading) { buttons(first) }
        }
        if let saved {
          Text(saved.text).font(.footnote).foregroundStyle(.secondary)
        }
      }
      .buttonStyle(.bordered)
      .onChange(of: finished) { _, _ in saved = nil }
    }
  }

  @ViewBuilder private func buttons(_ first: Finished) -> some View {
    if let file = first.file { ShareLink(item: file) }
    Button("Save to Photos", systemImage: "photo.badge.plus") {
      Task { saved = await PhotoLibrary.save(finished) }
    }
    Button("Copy", systemImage: "doc.on.doc") {
      if let png = try? first.png() { UIPasteboard.general.setData(png, forPasteboardType: UTType.png.identifier) }
    }
  }
}
