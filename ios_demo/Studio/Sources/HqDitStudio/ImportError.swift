// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A bundle that cannot be imported; the text says why, and what to do.
public struct ImportError: LocalizedError, Hashable {
  public let errorDescription: String?

  init(_ text: String) { errorDescription = text }
}
