// The op bias_act on the CPU. Arrays are contiguous: x and its like [n, pixels, channels], noise [1 or n, pixels].
#include "bias_act.h"

#include "image_types.h"
#include "pixel_blocks.h"

using eg3d::Activation;

// `act` is private to each thread below: of a shared one, any number that is stored might be a part, and loops would not
// vectorise.

namespace {

template <typename T>
void forward(const T* x, const float* bias, const float* noise, T* out, int64_t n, int64_t pixels, int64_t channels,
             int64_t noise_images, Activation act, int64_t threads) {
  const std::vector<float> none(channels);
  const float* added = bias ? bias : none.data();
#pragma omp parallel num_threads(threads) firstprivate(act)
  {
    eg3d::Buffers buffers(channels);
#pragma omp for schedule(static)
    for (int64_t first = 0; first < n * pixels; first += buffers.pixels) {
      const int64_t count = std::min(buffers.pixels, n * pixels - first);
      const float* from = eg3d::floats(x + first * channels, count * channels, buffers.a.data());
      float* to = eg3d::place(out + first * channels, buffers.b.data());
      for (int64_t p = 0; p < count; ++p, from += channels, to += channels) {
        const float offset = noise ? noise[noise_images == 1 ? (first + p) % pixels : first + p] : 0;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) to[c] = eg3d::activate(from[c] + offset + added[c], act);
      }
      eg3d::store(to - count * channels, count * channels, out + first * channels);
    }
  }
}

template <typename T>
void backward(const T* grad, const T* y, T* x_grad, float* bias_grad, float* noise_grad, int64_t n, int64_t pixels,
              int64_t channels, Activation act, int64_t threads) {
  eg3d::BlockSums sums(n, pixels, channels);
#pragma omp parallel num_threads(threads) firstprivate(act)
  {
    eg3d::Buffers buffers(channels);
#pragma omp for schedule(static)
    for (int64_t block = 0; block < sums.blocks(); ++block) {
      float* sum = sums.of(block);
      for (int64_t p = sums.first(block); p < sums.end(block);) {
        const int64_t first = sums.image(block) * pixels + p, count = std::min(buffers.pixels, sums.end(block) - p);
        const float* g = eg3d::floats(grad + first * channels, count * channels, buffers.a.data());
        const float* result = eg3d::floats(y + first * channels, count * channels, buffers.b.data());
        float* to = eg3d::place(x_grad + first * channels, buffers.a.data());  // each in the place of its g
        for (int64_t i = first; i < first + count; ++i, g += channels, result += channels, to += channels) {
          float total = 0;
#pragma omp simd reduction(+ : total)
          for (int64_t c = 0; c < channels; ++c) {
            to[c] = g[c] * eg3d::activation_slope(result[c], act);
            sum[c] += to[c];
            total += to[c];
          }
          if (noise_grad) noise_grad[i] = total;
        }
        eg3d::store(to - count * channels, count * channels, x_grad + first * channels);
        p += count;
      }
    }
  }
  if (bias_grad) sums.add_up(-1, bias_grad);
}

}  // namespace

extern "C" {
#include "functions_cpu.h"

// bias and noise may be null; out may be x.
void eg3d_bias_act(const float* x, const float* bias, const float* noise, float* out, int64_t n, int64_t pixels,
                   int64_t channels, int64_t noise_images, float slope, float gain, float clamp, int64_t threads) {
  forward(x, bias, noise, out, n, pixels, channels, noise_images, Activation{slope, gain, clamp}, threads);
}

void eg3d_bias_act_bf16(const void* x, const float* bias, const float* noise, void* out, int64_t n, int64_t pixels,
                        int64_t channels, int64_t noise_images, float slope, float gain, float clamp,
                        int64_t threads) {
  forward(static_cast<const eg3d::BFloat16*>(x), bias, noise, static_cast<eg3d::BFloat16*>(out), n, pixels, channels,
          noise_images, Activation{slope, gain, clamp}, threads);
}

// y is the result of the forward pass; bias_grad and noise_grad [n, pixels] may be null.
void eg3d_bias_act_backward(const float* grad, const float* y, float* x_grad, float* bias_grad, float* noise_grad,
                            int64_t n, int64_t pixels, int64_t channels, float slope, float gain, float clamp,
                            int64_t threads) {
  backward(grad, y, x_grad, bias_grad, noise_grad, n, pixels, channels, Activation{slope, gain, clamp}, threads);
}

void eg3d_bias_act_backward_bf16(const void* grad, const void* y, void* x_grad, float* bias_grad, float* noise_grad,
                                 int64_t n, int64_t pixels, int64_t channels, float slope, float gain, float clamp,
                                 int64_t threads) {
  backward(static_cast<const eg3d::BFloat16*>(grad), static_cast<const eg3d::BFloat16*>(y),
           static_cast<eg3d::BFloat16*>(x_grad), bias_grad, noise_grad, n, pixels, channels,
           Activation{slope, gain, clamp}, threads);
}
}
