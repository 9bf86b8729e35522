// SPDX-License-Identifier: Apache-2.0
import AppIntents

struct IntentWithoutPerform: AppIntent {  // error: does not conform to protocol 'AppIntent'
  static let title: LocalizedStringResource = "Draw"
  static let description: IntentDescription? = IntentDescription("Draws")
}
