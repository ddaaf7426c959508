// The op upfirdn2d on the CPU: rows are summed first, then the pixels of that sum. Arrays are contiguous: x [n, height,
// width, channels], out likewise.
#include "upfirdn2d.h"

#include <algorithm>
#include <vector>

#include "image_types.h"

using eg3d::Resampling;

namespace {

// sum[size] += factor * from[size]
void add(float factor, const float* from, int64_t size, float* sum) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) sum[i] += factor * from[i];
}

// A row of pixels times scale [channels], which may be null; then to where it belongs.
template <typename T>
void finish(float* row, const float* scale, int64_t pixels, int64_t channels, T* to) {
  if (scale)
    for (int64_t j = 0; j < pixels; ++j)
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) row[j * channels + c] *= scale[c];
  eg3d::store(row, pixels * channels, to);
}

template <typename T>
void resample(const T* x, const float* taps, const float* scale, T* out, int64_t n, int64_t height, int64_t width,
              int64_t channels, int64_t out_height, int64_t out_width, const Resampling& resampling, int64_t threads) {
  const int64_t row_size = width * channels;
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> row(row_size), read(row_size), made(out_width * channels);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < n * out_height; ++i) {
      const int64_t image = i / out_height;
      std::fill(row.begin(), row.end(), 0.f);
      for (int64_t k = 0; k < resampling.taps; ++k) {
        const int64_t from = resampling.source(i % out_height, k, height);
        if (from < 0) continue;
        add(taps[k], eg3d::floats(x + (image * height + from) * row_size, row_size, read.data()), row_size, row.data());
      }
      T* to = out + i * out_width * channels;
      float* sums = eg3d::place(to, made.data());
      std::fill_n(sums, out_width * channels, 0.f);
      for (int64_t j = 0; j < out_width; ++j)
        for (int64_t k = 0; k < resampling.taps; ++k) {
          const int64_t from = resampling.source(j, k, width);
          if (from >= 0) add(taps[k], row.data() + from * channels, channels, sums + j * channels);
        }
      finish(sums, scale ? scale + image * channels : nullptr, out_width, channels, to);
    }
  }
}

// Images whose pixels lie in four: those of even rows and columns [n, h + 1, w + 1, channels], of even rows and odd
// columns [n, h + 1, w, channels], of odd rows and even columns, of odd rows and columns [n, h, w, channels].
template <typename T>
struct Phases {
  const T* of[2][2];
  int64_t height, width, channels;  // h and w

  int64_t columns(int64_t odd) const { return width + 1 - odd; }
  // A row of the whole image, of which this is the part in even or odd columns.
  const T* row(int64_t image, int64_t y, int64_t odd) const {
    return of[y % 2][odd] + (image * (height + 1 - y % 2) + y / 2) * columns(odd) * channels;
  }
};

float as_float(float value) { return value; }
float as_float(eg3d::BFloat16 value) { return eg3d::widened(value); }

// to[size] = the four times taps, summed
template <typename T>
void combine(const float* taps, const T* a, const T* b, const T* c, const T* d, int64_t size, float* to) {
  const float p = taps[0], q = taps[1], r = taps[2], s = taps[3];
#pragma omp simd
  for (int64_t i = 0; i < size; ++i)
    to[i] = p * as_float(a[i]) + q * as_float(b[i]) + r * as_float(c[i]) + s * as_float(d[i]);
}

// Four taps, from the pixel before to the second after; to out [n, 2 h, 2 w, channels].
template <typename T>
void blur(const Phases<T>& x, const float* taps, const float* scale, T* out, int64_t n, int64_t threads) {
  const int64_t channels = x.channels, width = x.width, out_height = 2 * x.height;
  const std::vector<T> outside((width + 1) * channels);
#pragma omp parallel num_threads(threads)
  {
    // Sums of rows, in even and in odd columns; of the latter there is one of zeros at either end.
    std::vector<float> even((width + 1) * channels), odd((width + 2) * channels), made(2 * width * channels);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < n * out_height; ++i) {
      const int64_t image = i / out_height, first = i % out_height - 1;
      const T* rows[2][4];
      for (int64_t k = 0; k < 4; ++k)
        for (int64_t parity = 0; parity < 2; ++parity)
          rows[parity][k] =
              first + k < 0 || first + k > out_height ? outside.data() : x.row(image, first + k, parity);
      combine(taps, rows[0][0], rows[0][1], rows[0][2], rows[0][3], (width + 1) * channels, even.data());
      combine(taps, rows[1][0], rows[1][1], rows[1][2], rows[1][3], width * channels, odd.data() + channels);
      T* to = out + i * 2 * width * channels;
      float* sums = eg3d::place(to, made.data());
      for (int64_t j = 0; j < width; ++j) {
        const float *e = even.data() + j * channels, *o = odd.data() + j * channels;
        float* pair = sums + 2 * j * channels;
        combine(taps, o, e, o + channels, e + channels, channels, pair);
        combine(taps, e, o + channels, e + channels, o + 2 * channels, channels, pair + channels);
      }
      finish(sums, scale ? scale + image * channels : nullptr, 2 * width, channels, to);
    }
  }
}

}  // namespace

extern "C" {
#include "functions_cpu.h"

// taps[k] weighs the pixel at offset k - pad, among the pixels and the up - 1 zeros after each. scale [n, channels], the
// factor of the result, may be null.
void eg3d_upfirdn2d(const float* x, const float* taps, const float* scale, float* out, int64_t n, int64_t height,
                    int64_t width, int64_t channels, int64_t out_height, int64_t out_width, int64_t tap_count,
                    int64_t up, int64_t down, int64_t pad, int64_t threads) {
  resample(x, taps, scale, out, n, height, width, channels, out_height, out_width,
           Resampling{tap_count, up, down, pad}, threads);
}

void eg3d_upfirdn2d_bf16(const void* x, const float* taps, const float* scale, void* out, int64_t n, int64_t height,
                         int64_t width, int64_t channels, int64_t out_height, int64_t out_width, int64_t tap_count,
                         int64_t up, int64_t down, int64_t pad, int64_t threads) {
  resample(static_cast<const eg3d::BFloat16*>(x), taps, scale, static_cast<eg3d::BFloat16*>(out), n, height, width,
           channels, out_height, out_width, Resampling{tap_count, up, down, pad}, threads);
}

// The filter after a convolution that doubles the side, from the four phases of its result; height and width are those of
// its input. taps [4] go from the pixel before to the second after; scale [n, channels] may be null.
void eg3d_blur_phases(const float* even_even, const float* even_odd, const float* odd_even, const float* odd_odd,
                      const float* taps, const float* scale, float* out, int64_t n, int64_t height, int64_t width,
                      int64_t channels, int64_t threads) {
  blur(Phases<float>{{{even_even, even_odd}, {odd_even, odd_odd}}, height, width, channels}, taps, scale, out, n,
       threads);
}

void eg3d_blur_phases_bf16(const void* even_even, const void* even_odd, const void* odd_even, const void* odd_odd,
                           const float* taps, const float* scale, void* out, int64_t n, int64_t height, int64_t width,
                           int64_t channels, int64_t threads) {
  using T = eg3d::BFloat16;
  blur(Phases<T>{{{static_cast<const T*>(even_even), static_cast<const T*>(even_odd)},
                  {static_cast<const T*>(odd_even), static_cast<const T*>(odd_odd)}},
                 height,
                 width,
                 channels},
       taps, scale, static_cast<T*>(out), n, threads);
}
}
