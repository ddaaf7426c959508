// What follows a convolution: noise, bias, activation, gain and clamp of one value. Arithmetic only, for any device.
#pragma once

#include "portable.h"

namespace eg3d {

struct Activation {
  float slope, gain, clamp;  // slope: of negative values; gain: positive; clamp: infinite if there is none
};

EG3D_INLINE float activate(float x, const Activation& act) {
  x *= x > 0 ? act.gain : act.gain * act.slope;
  x = x > act.clamp ? act.clamp : x;
  return x < -act.clamp ? -act.clamp : x;
}

// The derivative, from the result.
EG3D_INLINE float activation_slope(float y, const Activation& act) {
  const float slope = y > 0 ? act.gain : act.gain * act.slope;
  return y < act.clamp && y > -act.clamp ? slope : 0;
}

}  // namespace eg3d
