// A convolution's weights for one sample: each times its input channel's style, each output channel then brought to length
// 1 where demodulation is wanted; in the order in which the convolution takes them.
#include <cmath>

#include "image_types.h"

namespace {

// to[size] = from, every `stride`-th of it, times styles; the sum of squares is returned.
float scale_taps(const float* from, int64_t stride, const float* styles, int64_t size, float* to) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) {
    const float value = from[i * stride] * styles[i];
    to[i] = value;
    sum += value * value;
  }
  return sum;
}

template <typename T>
void modulate(const float* weight, const float* styles, const int32_t* order, const int32_t* sizes, T* out,
              int64_t outputs, int64_t inputs, int64_t taps, int64_t parts, bool channels_last, bool demodulate,
              int64_t threads) {
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> row(taps * inputs), buffer(inputs);
#pragma omp for schedule(static)
    for (int64_t o = 0; o < outputs; ++o) {
      float sum = 0;
      for (int64_t t = 0; t < taps; ++t) {
        const float* from = weight + o * taps * inputs + t * (channels_last ? inputs : 1);
        float* to = row.data() + t * inputs;
        sum += channels_last ? scale_taps(from, 1, styles, inputs, to) : scale_taps(from, taps, styles, inputs, to);
      }
      const float factor = demodulate ? 1 / std::sqrt(sum + 1e-8f) : 1.f;
      const int32_t* tap = order;
      for (int64_t part = 0; part < parts; ++part) {
        T* to = out + ((tap - order) * outputs + o * sizes[part]) * inputs;
        for (int64_t k = 0; k < sizes[part]; ++k, ++tap, to += inputs) {
          const float* from = row.data() + *tap * inputs;
          float* scaled = eg3d::place(to, buffer.data());
#pragma omp simd
          for (int64_t i = 0; i < inputs; ++i) scaled[i] = from[i] * factor;
          eg3d::store(scaled, inputs, to);
        }
      }
    }
  }
}

}  // namespace

extern "C" {
#include "functions_cpu.h"

// weight [outputs, inputs, taps], or [outputs, taps, inputs] where its channels are last; styles [inputs]. `parts` weights
// are made, one after another in out, each [outputs, its size, inputs]; order holds their taps.
void eg3d_modulate_weights(const float* weight, const float* styles, const int32_t* order, const int32_t* sizes,
                           float* out, int64_t outputs, int64_t inputs, int64_t taps, int64_t parts,
                           int64_t channels_last, int64_t demodulate, int64_t threads) {
  modulate(weight, styles, order, sizes, out, outputs, inputs, taps, parts, channels_last != 0, demodulate != 0,
           threads);
}

void eg3d_modulate_weights_bf16(const float* weight, const float* styles, const int32_t* order, const int32_t* sizes,
                                void* out, int64_t outputs, int64_t inputs, int64_t taps, int64_t parts,
                                int64_t channels_last, int64_t demodulate, int64_t threads) {
  modulate(weight, styles, order, sizes, static_cast<eg3d::BFloat16*>(out), outputs, inputs, taps, parts,
           channels_last != 0, demodulate != 0, threads);
}
}
