// SPDX-License-Identifier: Apache-2.0
import SwiftUI

struct MisspeltModifier: View {
  var body: some View {
    Text("Draw").navigationTitel("Draw")  // error: has no member 'navigationTitel'
  }
}
