// SPDX-License-Identifier: Apache-2.0
import SwiftUI

struct ValueForBinding: View {
  @State private var text = ""

  var body: some View {
    TextField("Seed", text: text)  // error: to expected type 'Binding<String>'
  }
}
