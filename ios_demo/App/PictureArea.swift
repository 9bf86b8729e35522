// SPDX-License-Identifier: Apache-2.0
import HqDit
import HqDitStudio
import SwiftUI

/// A square for the picture, or four of them: previews while they are drawn, then the pictures.
struct PictureArea: View {
  let studio: Studio

  var body: some View {
    if let drawing = studio.drawing {
      grid(
        of: drawing.wishes.indices.map { Tile(wish: drawing.wishes[$0], preview: drawing.previews[$0], in: drawing) })
    } else if studio.finished.isEmpty {
      Tile.empty.aspectRatio(1, contentMode: .fit)
    } else {
      grid(of: studio.finished.map { Tile(finished: $0) })
    }
  }

  @ViewBuilder private func grid(of tiles: [Tile]) -> some View {
    if tiles.count == 1 {
      tiles[0].aspectRatio(1, contentMode: .fit)
    } else {
      LazyVGrid(columns: [GridItem(), GridItem()]) {
        ForEach(Array(tiles.indices), id: \.self) { tiles[$0].aspectRatio(1, contentMode: .fit) }
      }
    }
  }
}

/// One picture with what VoiceOver says of it.
private struct Tile: View {
  private let picture: Picture?
  private let file: URL?
  private let description: Text
  private let blurRadius: Double
  @Environment(\.accessibilityReduceMotion) private var reduceMotion

  static let empty = Tile(picture: nil, description: Text("Your picture appears here"))

  private init(picture: Picture?, file: URL? = nil, description: Text, blurRadius: Double = 0) {
    self.picture = picture
    self.file = file
    self.description = description
    self.blurRadius = blurRadius
  }

  init(wish: Wish, preview: Picture?, in drawing: Drawing) {
    // A preview is small, so its pixels are hidden, less and less as it comes closer to the picture.
    let radius = 8 * (1 - drawing.fraction)
    self.init(picture: preview, description: Text("\(wish.title), being drawn"), blurRadius: radius)
  }

  init(finished: Finished) {
    let (title, seed) = (finished.wish.title, String(finished.wish.seed))
    self.init(picture: finished.picture, file: finished.file, description: Text("Picture: \(title), seed \(seed)"))
  }

  var body: some View {
    ZStack {
      if let image = picture?.cgImage {
        Image(decorative: image, scale: 1)
          .resizable()
          .interpolation(.high)
          .blur(radius: blurRadius, opaque: true)
          .transition(.opacity)
      } else {
        description
          .foregroundStyle(.secondary)
          .multilineTextAlignment(.center)
          .padding()
      }
    }
    .frame(maxWidth: .infinity, maxHeight: .infinity)
    .background(.regularMaterial, in: .rect(cornerRadius: 24))
    .clipShape(.rect(cornerRadius: 24))
    .animation(reduceMotion ? nil : .easeInOut(duration: 0.2), value: picture)
    .accessibilityElement(children: .ignore)
    .accessibilityLabel(description)
    .accessibilityAddTraits(.isImage)
    .draggable(when: file)
  }
}

extension View {
  /// The picture's file can be dragged into another app, once there is one.
  @ViewBuilder fileprivate func draggable(when file: URL?) -> some View {
    if let file { draggable(file) } else { self }
  }
}
