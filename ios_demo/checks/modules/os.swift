// SPDX-License-Identifier: Apache-2.0
// A stand-in for os, of what the app uses; see SwiftUI/View.swift.

/// documentation/os/os_proc_available_memory, iOS 13.
public func os_proc_available_memory() -> Int { fatalError() }
