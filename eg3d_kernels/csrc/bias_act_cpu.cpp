// The op bias_act on the CPU. Arrays are contiguous: x and its like [n, pixels, channels], noise [1 or n, pixels].
#include "bias_act.h"

#include "pixel_blocks.h"

using eg3d::Activation;

extern "C" {
#include "functions_cpu.h"

// bias and noise may be null; out may be x.
void eg3d_bias_act(const float* x, const float* bias, const float* noise, float* out, int64_t n, int64_t pixels,
                   int64_t channels, int64_t noise_images, float slope, float gain, float clamp, int64_t threads) {
  const Activation act{slope, gain, clamp};
  const std::vector<float> none(channels);
  const float* added = bias ? bias : none.data();
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < n * pixels; ++i) {
    const float offset = noise ? noise[noise_images == 1 ? i % pixels : i] : 0;
    const float* from = x + i * channels;
    float* to = out + i * channels;
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) to[c] = eg3d::activate(from[c] + offset + added[c], act);
  }
}

// y is the result of the forward pass; bias_grad and noise_grad [n, pixels] may be null.
void eg3d_bias_act_backward(const float* grad, const float* y, float* x_grad, float* bias_grad, float* noise_grad,
                            int64_t n, int64_t pixels, int64_t channels, float slope, float gain, float clamp,
                            int64_t threads) {
  const Activation act{slope, gain, clamp};
  eg3d::BlockSums sums(n, pixels, channels);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t block = 0; block < sums.blocks(); ++block) {
    float* sum = sums.of(block);
    for (int64_t p = sums.first(block); p < sums.end(block); ++p) {
      const int64_t i = sums.image(block) * pixels + p;
      const float *g = grad + i * channels, *result = y + i * channels;
      float* to = x_grad + i * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        to[c] = g[c] * eg3d::activation_slope(result[c], act);
        sum[c] += to[c];
      }
      if (noise_grad) {
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (int64_t c = 0; c < channels; ++c) total += to[c];
        noise_grad[i] = total;
      }
    }
  }
  if (bias_grad) sums.add_up(-1, bias_grad);
}
}
