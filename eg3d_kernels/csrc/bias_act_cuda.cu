// The op bias_act on graphics cards: a thread for each value. Arrays as in bias_act_cpu.cpp.
#include "bias_act.h"

#include "launch.h"

using namespace eg3d;

namespace {

struct Forward {
  const float *x, *bias, *noise;
  float* out;
  int64_t pixels, channels, noise_images;
  Activation act;

  EG3D_INLINE void operator()(int64_t i) const {
    const int64_t pixel = i / channels;
    const float offset = noise ? noise[noise_images == 1 ? pixel % pixels : pixel] : 0;
    out[i] = activate(x[i] + offset + (bias ? bias[i % channels] : 0), act);
  }
};

struct Backward {
  const float *grad, *y;
  float* x_grad;
  Activation act;

  EG3D_INLINE void operator()(int64_t i) const { x_grad[i] = grad[i] * activation_slope(y[i], act); }
};

// One channel of a slice of all pixels.
struct SumPixels {
  const float* x_grad;
  float* bias_grad;
  int64_t pixels, channels;

  EG3D_INLINE void operator()(int64_t i) const {
    const int64_t channel = i % channels, slice = i / channels, end = slice_end(slice, pixels);
    float sum = 0;
    for (int64_t pixel = slice * kSlice; pixel < end; ++pixel) sum += x_grad[pixel * channels + channel];
    add(bias_grad + channel, sum);
  }
};

struct SumChannels {
  const float* x_grad;
  float* noise_grad;
  int64_t channels;

  EG3D_INLINE void operator()(int64_t pixel) const {
    float sum = 0;
    for (int64_t c = 0; c < channels; ++c) sum += x_grad[pixel * channels + c];
    noise_grad[pixel] = sum;
  }
};

}  // namespace

extern "C" {
#include "functions_cpu.h"

void eg3d_bias_act(const float* x, const float* bias, const float* noise, float* out, int64_t n, int64_t pixels,
                   int64_t channels, int64_t noise_images, float slope, float gain, float clamp, int64_t stream) {
  const Activation act{slope, gain, clamp};
  launch(n * pixels * channels, stream, Forward{x, bias, noise, out, pixels, channels, noise_images, act});
}

void eg3d_bias_act_backward(const float* grad, const float* y, float* x_grad, float* bias_grad, float* noise_grad,
                            int64_t n, int64_t pixels, int64_t channels, float slope, float gain, float clamp,
                            int64_t stream) {
  launch(n * pixels * channels, stream, Backward{grad, y, x_grad, Activation{slope, gain, clamp}});
  if (bias_grad) {
    launch(channels, stream, Zero{bias_grad});
    launch(slices(n * pixels) * channels, stream, SumPixels{x_grad, bias_grad, n * pixels, channels});
  }
  if (noise_grad) launch(n * pixels, stream, SumChannels{x_grad, noise_grad, channels});
}
}
