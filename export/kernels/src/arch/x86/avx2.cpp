// SPDX-License-Identifier: Apache-2.0
// AVX2: VPMADDUBSW multiplies unsigned by signed bytes and adds pairs at 16 bits. Tokens are a + 128, weights in two
// levels (two_level.h), so that the sums of 16 inputs fit; VPMADDWD by the multiplier brings them to 32 bits.
// Panel, for each 16-channel block: Header, then for each 16 inputs one Step, or two of any weights.
#include "arch/x86/avx2_channels.h"
#include "arch/x86/simd_avx2.h"
#include "arch/x86/two_level.h"
#include "float_ops/backend.h"
#include "gemm/peak_loop.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

// Tokens of a tile and one block's weights stay in the first-level cache while they meet, kLoopRows at a time: so many
// leave no register of the inner loop free.
constexpr int kLoopRows = 3;
constexpr int kTileRows = 4 * kLoopRows;
constexpr int kPanelBlocks = 3;

struct Header {
  int32_t start[16];  ///< -128 times the sum of a channel's weights, in channel_order
  int64_t parts;      ///< Steps for each 16 inputs
  int64_t unused[7];
};

struct Step {
  int8_t grid[4][16][4];  ///< 4 inputs of 8 channels a register, in channel_order
  int16_t multiplier[16][2];
};

static_assert(sizeof(Header) == 128 && sizeof(Step) == 320);

__m256i multiplied(__m256i sum, __m256i pairs, __m256i multiplier) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, multiplier));
}

/// a + b at 16 bits, in this place: compilers would add four products in pairs and have no registers for them.
__m256i added(__m256i a, __m256i b) {
  __m256i sum = _mm256_add_epi16(a, b);
  asm("" : "+x"(sum));
  return sum;
}

/// Writes a panel.
class PanelWriter {
 public:
  PanelWriter(uint8_t* panel, int64_t parts) : header_(reinterpret_cast<Header*>(panel)) {
    header_->parts = parts;
    step_ = reinterpret_cast<Step*>(header_ + 1);
    unroll<2>([&](int i) { total_[i] = pairs_[i] = _mm256_setzero_si256(); });
  }

  void quad(int64_t, int j, int i, __m256i magnitude, __m256i sign) {
    const __m256i grid = _mm256_sign_epi8(magnitude, sign);
    store256(step_->grid[j][8 * i], grid);
    pairs_[i] = _mm256_add_epi16(pairs_[i], _mm256_maddubs_epi16(_mm256_set1_epi8(1), grid));
  }

  void end(const __m256i multiplier[2]) {
    unroll<2>([&](int i) {
      store256(step_->multiplier[8 * i], multiplier[i]);
      total_[i] = multiplied(total_[i], pairs_[i], multiplier[i]);
      pairs_[i] = _mm256_setzero_si256();
    });
    ++step_;
  }

  void finish() {
    // The largest sums wrap around at 32 bits, and so do those that they are taken off.
    unroll<2>([&](int i) {
      store256(header_->start + 8 * i, _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(total_[i], 7)));
    });
  }

 private:
  Header* header_;
  Step* step_;
  __m256i pairs_[2];
  __m256i total_[2];
};

bool small_grids(const Fp4Weight& weight, int64_t block) {
  const int64_t groups = groups_per_row(weight.k, weight.group);
  return all_two_level(weight.tables + block * groups * 16, groups);
}

constexpr int64_t block_bytes(int64_t k_padded) {
  return static_cast<int64_t>(sizeof(Header)) + k_padded / 16 * 2 * static_cast<int64_t>(sizeof(Step));
}

void unpack(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  for (int64_t b = block; b < block + blocks; ++b, panel += block_bytes(padded_inputs(weight.k))) {
    const bool small = small_grids(weight, b);
    PanelWriter writer(panel, small ? 1 : 2);
    if (small) {
      each_two_level(weight, b, writer);
    } else {
      each_split(weight, b, writer);
    }
    writer.finish();
  }
}

void pack(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) {
  for (int b = 0; b < blocks; ++b, panel += block_bytes(k_padded)) {
    PanelWriter writer(panel, 2);
    for (int64_t k = 0; k < k_padded; k += 16, quads += 256) {
      __m256i ordered[4][2];
      for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 2; ++i) {
          ordered[j][i] = _mm256_permutevar8x32_epi32(load256(quads + 64 * j + 32 * i), channel_order());
        }
      }
      use_split(ordered, k, writer);
    }
    writer.finish();
  }
}

template <int Rows, int Parts>
void tile_of(const Tile& t) {
  const Header* header = reinterpret_cast<const Header*>(t.panel);
  __m256i acc[Rows][2];
  unroll<Rows>([&](int r) { unroll<2>([&](int i) { acc[r][i] = load256(header->start + 8 * i); }); });
  const Step* step = reinterpret_cast<const Step*>(header + 1);
  const uint8_t* a = t.left;
  // One step a turn: compilers load the weights of two together, and have no registers for them.
  for (int64_t left = t.k_padded / 16 * Parts; left > 0; --left, ++step) {
    __m256i pairs[Rows][2];
    unroll<4>([&](int j) {
      const __m256i grid[2] = {load256(step->grid[j][0]), load256(step->grid[j][8])};
      unroll<Rows>([&](int r) {
        int32_t quad;
        std::memcpy(&quad, a + r * t.left_stride + 4 * j, sizeof quad);
        const __m256i token = _mm256_set1_epi32(quad);
        unroll<2>([&](int i) {
          const __m256i products = _mm256_maddubs_epi16(token, grid[i]);
          pairs[r][i] = j == 0 ? products : added(pairs[r][i], products);
        });
      });
    });
    unroll<2>([&](int i) {
      const __m256i multiplier = load256(step->multiplier[8 * i]);
      unroll<Rows>([&](int r) { acc[r][i] = multiplied(acc[r][i], pairs[r][i], multiplier); });
    });
    // Both parts of a weight meet the same inputs.
    a += Parts == 1 ? 16 : left % 2 * 16;
  }
  unroll<Rows>([&](int r) {
    finish(in_order(acc[r][0]), t, r, 0);
    if (t.channels > 8) finish(in_order(acc[r][1]), t, r, 8);
  });
}

void tile(const Tile& t) {
  for (int b = 0; b < t.blocks; ++b) {
    Tile part = t;
    part.panel += b * block_bytes(t.k_padded);
    part.scale += 16 * b;
    part.bias += 16 * b;
    part.out += 16 * b;
    part.channels -= 16 * b;
    const int64_t parts = reinterpret_cast<const Header*>(part.panel)->parts;
    for (int row = 0; row < t.rows; row += kLoopRows) {
      with_count<kLoopRows>(least(t.rows - row, kLoopRows),
                            [&](auto rows) { parts == 1 ? tile_of<rows, 1>(part) : tile_of<rows, 2>(part); });
      part.left += kLoopRows * t.left_stride;
      part.token_scale += kLoopRows;
      part.out += kLoopRows * t.out_stride;
    }
  }
}

/// Multiplies a block's weights as they are decoded. The tokens are signed here, and the grid values' magnitudes are
/// the unsigned side: no sum of the weights is needed.
template <int Rows>
class Products {
 public:
  explicit Products(const Tile& t) : t_(t) {
    unroll<Rows>([&](int r) { unroll<2>([&](int i) { acc_[r][i] = pairs_[r][i] = _mm256_setzero_si256(); }); });
  }

  void quad(int64_t k, int j, int i, __m256i magnitude, __m256i sign) {
    unroll<Rows>([&](int r) {
      int32_t quad;
      std::memcpy(&quad, t_.left + r * t_.left_stride + k + 4 * j, sizeof quad);
      const __m256i token = _mm256_xor_si256(_mm256_set1_epi32(quad), _mm256_set1_epi8(-128));
      const __m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(token, sign));
      pairs_[r][i] = added(pairs_[r][i], products);
    });
  }

  void end(const __m256i multiplier[2]) {
    unroll<Rows>([&](int r) {
      unroll<2>([&](int i) {
        acc_[r][i] = multiplied(acc_[r][i], pairs_[r][i], multiplier[i]);
        pairs_[r][i] = _mm256_setzero_si256();
      });
    });
  }

  void finish_rows() const {
    unroll<Rows>([&](int r) {
      finish(in_order(acc_[r][0]), t_, r, 0);
      if (t_.channels > 8) finish(in_order(acc_[r][1]), t_, r, 8);
    });
  }

 private:
  const Tile& t_;
  __m256i pairs_[Rows][2];
  __m256i acc_[Rows][2];
};

constexpr int kGemvRows = 2;

void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  const bool small = small_grids(weight, block);
  with_count<kGemvRows>(t.rows, [&](auto rows) {
    Products<rows> products(t);
    if (small) {
      each_two_level(weight, block, products);
    } else {
      each_split(weight, block, products);
    }
    products.finish_rows();
  });
}

int64_t dot_loop(int64_t rounds) {
  return run_chains<12, __m256i>(
      rounds, 32, [](__m256i acc, __m256i a) { return _mm256_add_epi16(acc, _mm256_maddubs_epi16(acc, a)); });
}

constexpr Backend make_backend() {
  Backend b;
  b.name = "avx2";
  b.supported = has_avx2;
  b.float_ops = &kFloatAvx2;
  b.tile_rows = kTileRows;
  b.panel_blocks = kPanelBlocks;
  b.gemv_rows = kGemvRows;
  b.panel_header_bytes = sizeof(Header);
  b.panel_input_bytes = 2 * sizeof(Step) / 16;
  b.prepare = prepare_tokens<Avx2>;
  b.unpack = unpack;
  b.pack = pack;
  b.put = put_values<Avx2>;
  b.tile = tile;
  b.gemv = gemv;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kAvx2 = make_backend();
static_assert(is_complete(kAvx2));

}  // namespace hqdit
