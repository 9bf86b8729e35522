// SPDX-License-Identifier: Apache-2.0
import HqDitStudio
import SwiftUI

/// The latest pictures; a tap brings back what they were drawn from.
struct RecentStrip: View {
  let recent: [RecentPictures.Entry]
  let choices: Choices

  var body: some View {
    if !recent.isEmpty {
      VStack(alignment: .leading, spacing: 8) {
        Text("Recent").font(.headline)
        ScrollView(.horizontal, showsIndicators: false) {
          LazyHStack(spacing: 8) {
            ForEach(recent) { entry in
              Button {
                choices.take(entry.wish)
              } label: {
                Thumbnail(file: entry.file)
              }
              .buttonStyle(.plain)
              .accessibilityLabel("\(entry.wish.title), seed \(String(entry.wish.seed))")
              .accessibilityHint("Takes over its settings")
              .draggable(entry.file)
            }
          }
        }
      }
    }
  }
}

private struct Thumbnail: View {
  let file: URL
  @State private var image: CGImage?

  var body: some View {
    ZStack {
      if let image { Image(decorative: image, scale: 1).resizable() }
    }
    .frame(width: 72, height: 72)
    .background(.regularMaterial, in: .rect(cornerRadius: 12))
    .clipShape(.rect(cornerRadius: 12))
    .task { image = await Self.read(file) }
  }

  /// Off the main actor.
  nonisolated private static func read(_ file: URL) async -> CGImage? {
    guard let data = try? Data(contentsOf: file), let source = CGDataProvider(data: data as CFData) else { return nil }
    return CGImage(
      pngDataProviderSource: source, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
  }
}
