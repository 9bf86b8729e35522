// SPDX-License-Identifier: Apache-2.0
import HqDitStudio

func wrongThread(_ studio: Studio) {
  Task.detached { studio.cancel() }  // error: expression is 'async' but is not marked with 'await'
}
