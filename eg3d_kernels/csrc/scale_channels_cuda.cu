// Scaling the channels of images on graphics cards. Arrays as in scale_channels_cpu.cpp.
#include "launch.h"

using namespace eg3d;

namespace {

struct Scale {
  const float *x, *scale;
  float* out;
  int64_t pixels, channels;

  EG3D_INLINE void operator()(int64_t i) const {
    const int64_t image = i / channels / pixels;
    out[i] = x[i] * scale[image * channels + i % channels];
  }
};

// One channel of a slice of one image's pixels.
struct Dot {
  const float *x, *other;
  float* dots;
  int64_t pixels, channels;

  EG3D_INLINE void operator()(int64_t i) const {
    const int64_t channel = i % channels, slice = i / channels % slices(pixels);
    const int64_t image = i / channels / slices(pixels), end = slice_end(slice, pixels);
    float sum = 0;
    for (int64_t pixel = slice * kSlice; pixel < end; ++pixel) {
      const int64_t at = (image * pixels + pixel) * channels + channel;
      sum += x[at] * other[at];
    }
    add(dots + image * channels + channel, sum);
  }
};

}  // namespace

extern "C" {
#include "functions_cpu.h"

void eg3d_scale_channels(const float* x, const float* scale, const float* other, float* out, float* dots, int64_t n,
                         int64_t pixels, int64_t channels, int64_t stream) {
  if (other) {  // first, as out may be x
    launch(n * channels, stream, Zero{dots});
    launch(n * slices(pixels) * channels, stream, Dot{x, other, dots, pixels, channels});
  }
  launch(n * pixels * channels, stream, Scale{x, scale, out, pixels, channels});
}
}
