// exp, softplus and sigmoid without branches or library calls, so that loops over them vectorise. Relative error 3e-7.
#pragma once

#include "portable.h"

namespace eg3d {

// e^x; x is clamped to where the result is a normal number.
EG3D_INLINE float exponential(float x) {
  x = x < -87.f ? -87.f : x;
  x = x > 88.f ? 88.f : x;
  const float power = nearbyintf(x * 1.44269504f);  // x = power ln 2 + rest
  const float rest = (x - power * 0.693359375f) + power * 2.12194440e-4f;
  float sum = 1.9875691500e-4f;
  sum = sum * rest + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1;
  const int32_t bits = (static_cast<int32_t>(power) + 127) << 23;
  float two_to_power;
  memcpy(&two_to_power, &bits, sizeof bits);
  return sum * two_to_power;
}

// log(1 + y) for y in [0, 1], as 2 artanh(y / (2 + y)).
EG3D_INLINE float log_one_plus(float y) {
  const float s = y / (2 + y), q = s * s;
  float sum = 2.f / 15;
  sum = sum * q + 2.f / 13;
  sum = sum * q + 2.f / 11;
  sum = sum * q + 2.f / 9;
  sum = sum * q + 2.f / 7;
  sum = sum * q + 2.f / 5;
  sum = sum * q + 2.f / 3;
  sum = sum * q + 2;
  return sum * s;
}

EG3D_INLINE float softplus(float x) { return (x > 0 ? x : 0) + log_one_plus(exponential(x > 0 ? -x : x)); }

EG3D_INLINE float sigmoid(float x) { return 1 / (1 + exponential(-x)); }

}  // namespace eg3d
