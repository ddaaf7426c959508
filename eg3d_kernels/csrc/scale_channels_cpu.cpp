// Scaling the channels of images, by which convolutions are modulated and demodulated. Arrays are contiguous: x, other and
// out [n, pixels, channels], scale and dots [n, channels].
#include "image_types.h"
#include "pixel_blocks.h"

namespace {

template <typename T>
void scale_channels(const T* x, const float* scale, const T* other, T* out, float* dots, int64_t n, int64_t pixels,
                    int64_t channels, int64_t threads) {
  eg3d::BlockSums sums(n, pixels, other ? channels : 0);
#pragma omp parallel num_threads(threads)
  {
    eg3d::Buffers buffers(channels);
#pragma omp for schedule(static)
    for (int64_t block = 0; block < sums.blocks(); ++block) {
      const int64_t image = sums.image(block);
      const float* factors = scale + image * channels;
      float* sum = sums.of(block);
      for (int64_t p = sums.first(block); p < sums.end(block);) {
        const int64_t start = (image * pixels + p) * channels, count = std::min(buffers.pixels, sums.end(block) - p);
        const float* from = eg3d::floats(x + start, count * channels, buffers.a.data());
        if (other) {
          const float* with = eg3d::floats(other + start, count * channels, buffers.b.data());
          for (int64_t i = 0; i < count; ++i)
#pragma omp simd
            for (int64_t c = 0; c < channels; ++c) sum[c] += from[i * channels + c] * with[i * channels + c];
        }
        float* to = eg3d::place(out + start, buffers.b.data());
        for (int64_t i = 0; i < count; ++i)
#pragma omp simd
          for (int64_t c = 0; c < channels; ++c) to[i * channels + c] = from[i * channels + c] * factors[c];
        eg3d::store(to, count * channels, out + start);
        p += count;
      }
    }
  }
  if (other)
    for (int64_t image = 0; image < n; ++image) sums.add_up(image, dots + image * channels);
}

}  // namespace

extern "C" {
#include "functions_cpu.h"

// out = x * scale, which may be x itself; dots = the sums over pixels of x * other, where other is not null.
void eg3d_scale_channels(const float* x, const float* scale, const float* other, float* out, float* dots, int64_t n,
                         int64_t pixels, int64_t channels, int64_t threads) {
  scale_channels(x, scale, other, out, dots, n, pixels, channels, threads);
}

void eg3d_scale_channels_bf16(const void* x, const float* scale, const void* other, void* out, float* dots, int64_t n,
                              int64_t pixels, int64_t channels, int64_t threads) {
  scale_channels(static_cast<const eg3d::BFloat16*>(x), scale, static_cast<const eg3d::BFloat16*>(other),
                 static_cast<eg3d::BFloat16*>(out), dots, n, pixels, channels, threads);
}
}
