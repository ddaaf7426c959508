// The op upfirdn2d on the CPU: rows are summed first, then the pixels of that sum. Arrays are contiguous: x [n, height,
// width, channels], out likewise.
#include "upfirdn2d.h"

#include <algorithm>
#include <vector>

using eg3d::Resampling;

namespace {

// sum[size] += factor * from[size]
void add(float factor, const float* from, int64_t size, float* sum) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) sum[i] += factor * from[i];
}

}  // namespace

extern "C" {
#include "functions_cpu.h"

// taps[k] weighs the pixel at offset k - pad, among the pixels and the up - 1 zeros after each. scale [n, channels], the
// factor of the result, may be null.
void eg3d_upfirdn2d(const float* x, const float* taps, const float* scale, float* out, int64_t n, int64_t height,
                    int64_t width, int64_t channels, int64_t out_height, int64_t out_width, int64_t tap_count,
                    int64_t up, int64_t down, int64_t pad, int64_t threads) {
  const Resampling resampling{tap_count, up, down, pad};
  const int64_t row_size = width * channels;
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> row(row_size);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < n * out_height; ++i) {
      const int64_t image = i / out_height;
      std::fill(row.begin(), row.end(), 0.f);
      for (int64_t k = 0; k < tap_count; ++k) {
        const int64_t from = resampling.source(i % out_height, k, height);
        if (from >= 0) add(taps[k], x + (image * height + from) * row_size, row_size, row.data());
      }
      for (int64_t j = 0; j < out_width; ++j) {
        float* to = out + (i * out_width + j) * channels;
        std::fill_n(to, channels, 0.f);
        for (int64_t k = 0; k < tap_count; ++k) {
          const int64_t from = resampling.source(j, k, width);
          if (from >= 0) add(taps[k], row.data() + from * channels, channels, to);
        }
        if (scale)
          for (int64_t c = 0; c < channels; ++c) to[c] *= scale[image * channels + c];
      }
    }
  }
}
}
