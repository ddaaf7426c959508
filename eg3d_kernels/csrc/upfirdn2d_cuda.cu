// The op upfirdn2d on graphics cards: a thread for each value of the result. Arrays as in upfirdn2d_cpu.cpp.
#include "upfirdn2d.h"

#include "launch.h"

using namespace eg3d;

namespace {

struct Resample {
  const float *x, *taps, *scale;
  float* out;
  int64_t height, width, channels, out_height, out_width;
  Resampling resampling;

  EG3D_INLINE void operator()(int64_t i) const {
    const int64_t channel = i % channels, column = i / channels % out_width;
    const int64_t row = i / channels / out_width % out_height, image = i / channels / out_width / out_height;
    const float* from = x + image * height * width * channels + channel;
    float sum = 0;
    for (int64_t j = 0; j < resampling.taps; ++j) {
      const int64_t source_column = resampling.source(column, j, width);
      if (source_column < 0) continue;
      float along_column = 0;
      for (int64_t k = 0; k < resampling.taps; ++k) {
        const int64_t source_row = resampling.source(row, k, height);
        if (source_row >= 0) along_column += taps[k] * from[(source_row * width + source_column) * channels];
      }
      sum += taps[j] * along_column;
    }
    out[i] = scale ? sum * scale[image * channels + channel] : sum;
  }
};

}  // namespace

extern "C" {
#include "functions_cpu.h"

void eg3d_upfirdn2d(const float* x, const float* taps, const float* scale, float* out, int64_t n, int64_t height,
                    int64_t width, int64_t channels, int64_t out_height, int64_t out_width, int64_t tap_count,
                    int64_t up, int64_t down, int64_t pad, int64_t stream) {
  const Resampling resampling{tap_count, up, down, pad};
  launch(n * out_height * out_width * channels, stream,
         Resample{x, taps, scale, out, height, width, channels, out_height, out_width, resampling});
}
}
