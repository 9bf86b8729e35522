// SPDX-License-Identifier: Apache-2.0
import HqDit

let wrongLabel = GenerationRequest(label: 1, seed: 7)  // error: incorrect argument label
