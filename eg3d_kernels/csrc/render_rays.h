// One ray of volume rendering: weights of its samples, where to sample finer, and the way back. Arithmetic only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "activations.h"

namespace eg3d {

constexpr float kPassingFloor = 1e-10f;
constexpr float kColorScale = 1.002f, kColorShift = -0.001f;  // of a colour after its sigmoid

// Compositing weights of the n - 1 intervals between n samples; the share of light that passes each interval, and that
// which reaches it.
EG3D_INLINE void composite_weights(int64_t n, const float* depths, const float* raw_sigma, float* passing,
                                   float* transmittance, float* weights) {
#pragma omp simd
  for (int64_t k = 0; k < n - 1; ++k) {
    const float density = softplus((raw_sigma[k] + raw_sigma[k + 1]) / 2 - 1);
    passing[k] = exponential(-density * (depths[k + 1] - depths[k]));
    weights[k] = 1 - passing[k];  // exactly 0 below some density, so that an empty ray is known as one
  }
  float reaching = 1;
  for (int64_t k = 0; k < n - 1; ++k) {
    transmittance[k] = reaching;
    weights[k] *= reaching;
    reaching *= passing[k] + kPassingFloor;
  }
}

// grad_raw_sigma[n] from the gradient of the weights, which is overwritten.
EG3D_INLINE void composite_weights_backward(int64_t n, const float* depths, const float* raw_sigma,
                                            const float* passing, const float* transmittance, const float* weights,
                                            float* grad_weights, float* grad_raw_sigma) {
  float behind = 0;  // of the intervals behind: gradient times weight
  for (int64_t k = n - 2; k >= 0; --k) {
    const float grad_alpha = grad_weights[k] * transmittance[k] - behind / (passing[k] + kPassingFloor);
    behind += grad_weights[k] * weights[k];
    grad_weights[k] = grad_alpha;
  }
#pragma omp simd
  for (int64_t k = 0; k < n - 1; ++k) {
    const float density_slope = sigmoid((raw_sigma[k] + raw_sigma[k + 1]) / 2 - 1);
    grad_weights[k] *= passing[k] * (depths[k + 1] - depths[k]) * density_slope / 2;
  }
  grad_raw_sigma[0] = grad_weights[0];
  for (int64_t k = 1; k < n - 1; ++k) grad_raw_sigma[k] = grad_weights[k - 1] + grad_weights[k];
  grad_raw_sigma[n - 1] = grad_weights[n - 2];
}

// How far the middle of interval k lies behind the ray's first sample. Mean depths and their gradients are computed from
// there: from the ray's origin they would lose the digits that the samples' depths have in common.
EG3D_INLINE float middle_from_first(const float* depths, int64_t k) {
  return ((depths[k] - depths[0]) + (depths[k + 1] - depths[0])) / 2;
}

// cdf[n - 2]: cumulative distribution of the blurred weights over the middles of the n - 1 intervals.
EG3D_INLINE void importance_cdf(int64_t n, const float* weights, float* cdf) {
  float total = 0;
  for (int64_t k = 1; k < n - 2; ++k) {
    const float before = std::max(weights[k - 1], weights[k]), after = std::max(weights[k], weights[k + 1]);
    total += cdf[k] = (before + after) / 2 + 0.01f + 1e-5f;
  }
  cdf[0] = 0;
  for (int64_t k = 1; k < n - 2; ++k) cdf[k] = cdf[k - 1] + cdf[k] / total;
}

// Depth at the quantile u.
EG3D_INLINE float importance_depth(int64_t n, const float* depths, const float* cdf, float u) {
  const int64_t last = n - 3;
  int64_t above = 0;
  while (above <= last && cdf[above] <= u) ++above;
  const int64_t low = above > 0 ? above - 1 : 0, high = above < last ? above : last;
  float width = cdf[high] - cdf[low];
  if (width < 1e-5f) width = 1;
  const float bin_low = (depths[low] + depths[low + 1]) / 2, bin_high = (depths[high] + depths[high + 1]) / 2;
  return bin_low + (u - cdf[low]) / width * (bin_high - bin_low);
}

// By insertion: few values, often sorted already; NaN do no harm.
EG3D_INLINE void sort(int64_t n, float* values) {
  for (int64_t i = 1; i < n; ++i) {
    const float value = values[i];
    int64_t j = i;
    for (; j > 0 && values[j - 1] > value; --j) values[j] = values[j - 1];
    values[j] = value;
  }
}

}  // namespace eg3d
