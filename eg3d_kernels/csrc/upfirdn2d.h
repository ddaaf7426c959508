// Which pixels an output pixel of upfirdn2d is made of, along one direction. Arithmetic only, for any device.
#pragma once

#include "portable.h"

namespace eg3d {

struct Resampling {
  int64_t taps, up, down, pad;

  // The source pixel that tap k meets at output pixel i, or -1 where that is one of the zeros.
  EG3D_INLINE int64_t source(int64_t i, int64_t k, int64_t size) const {
    const int64_t position = i * down + k - pad;
    return position >= 0 && position % up == 0 && position / up < size ? position / up : -1;
  }
};

}  // namespace eg3d
