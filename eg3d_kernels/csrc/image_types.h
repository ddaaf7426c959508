// The types in which images lie in memory. Arithmetic is float: stretches of an image are widened to floats, and rounded
// when they are stored. Images of floats are read and written where they lie.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__AVX512BF16__) && defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace eg3d {

enum class BFloat16 : uint16_t {};  // the upper half of a float's bits

inline float widened(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

// To the nearest, of two equally near ones to the even one; what is not a number stays so.
inline BFloat16 rounded(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t nan = (bits & 0x7fffffffu) > 0x7f800000u;  // 0 or 1, without a branch, so that loops vectorise
  return static_cast<BFloat16>((bits + (0x7fffu + (bits >> 16 & 1u)) * (1u - nan)) >> 16 | nan << 6);
}

// `size` values as floats: those at `from` themselves, or in the buffer.
inline const float* floats(const float* from, int64_t, float*) { return from; }

inline const float* floats(const BFloat16* from, int64_t size, float* buffer) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) buffer[i] = widened(from[i]);
  return buffer;
}

// Where floats are to be put that belong at `to`: there, or in the buffer; `store` then brings them there.
inline float* place(float* to, float*) { return to; }
inline float* place(BFloat16*, float* buffer) { return buffer; }

inline void store(const float*, int64_t, float*) {}

inline void store(const float* from, int64_t size, BFloat16* to) {
  int64_t done = 0;
#if defined(__AVX512BF16__) && defined(__AVX512F__)  // does the same, but takes numbers below the smallest normal one for 0
  for (; done + 16 <= size; done += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + done),
                        (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + done)));
#endif
#pragma omp simd
  for (int64_t i = done; i < size; ++i) to[i] = rounded(from[i]);
}

// Buffers for stretches of so many pixels that they stay in the fastest cache, and of one at least.
struct Buffers {
  explicit Buffers(int64_t channels)
      : pixels(std::max<int64_t>(2048 / std::max<int64_t>(channels, 1), 1)),
        a(pixels * channels),
        b(pixels * channels) {}

  const int64_t pixels;
  std::vector<float> a, b;
};

}  // namespace eg3d
