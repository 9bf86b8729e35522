// SPDX-License-Identifier: Apache-2.0
import HqDitStudio

func missingCase(_ pace: Pace) -> Int {
  switch pace {  // error: switch must be exhaustive
  case .full: 1
  case .slow: 2
  }
}
