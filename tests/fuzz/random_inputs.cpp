// SPDX-License-Identifier: Apache-2.0
// A fuzzer's function on random bytes, for compilers that have no libFuzzer. argv: inputs, seed. Prints how many inputs
// there were, and how many passed the checks.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern int hqdit_fuzz_accepted;
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::mt19937 random(static_cast<unsigned>(std::atoi(argv[2])));
  const int count = std::atoi(argv[1]);
  for (int i = 0; i < count; ++i) {
    std::vector<uint8_t> input(random() % 8192);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%d %d\n", count, hqdit_fuzz_accepted);
  return 0;
}
