// SPDX-License-Identifier: Apache-2.0
import SwiftUI

/// Came with iOS 18, so the stand-in does not have it.
struct LaterSystem: View {
  var body: some View {
    Text("Draw").matchedTransitionSource(id: 1, in: 2)  // error: has no member 'matchedTransitionSource'
  }
}
