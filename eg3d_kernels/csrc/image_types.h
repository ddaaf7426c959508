// The types in which images lie in memory. Arithmetic is float: values are loaded as floats and rounded when stored.
#pragma once

#include <cstdint>
#include <cstring>

namespace eg3d {

enum class BFloat16 : uint16_t {};  // the upper half of a float's bits

inline float load(float value) { return value; }

inline float load(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

inline void store(float value, float* to) { *to = value; }

// To the nearest, of two equally near ones to the even one; what is not a number stays so.
inline void store(float value, BFloat16* to) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t nan = (bits & 0x7fffffffu) > 0x7f800000u;  // 0 or 1, without a branch, so that loops vectorise
  *to = static_cast<BFloat16>((bits + (0x7fffu + (bits >> 16 & 1u)) * (1u - nan)) >> 16 | nan << 6);
}

}  // namespace eg3d
