// Features of a point: the mean of three bilinear look-ups. Arithmetic only, for any device; no torch headers.
#pragma once

#include "portable.h"

namespace eg3d {

// Three planes [3, height, width, channels]; coordinate axes[2 i] runs along the width of plane i, axes[2 i + 1] along
// its height.
struct PlaneLayout {
  int64_t height, width, channels;
  const int32_t* axes;

  EG3D_INLINE int64_t plane_stride() const { return height * width * channels; }
};

// The four texels around a position: offsets into the plane and bilinear weights. Texels outside weigh nothing and have
// offset 0, so that they may be read but need not be written.
struct Footprint {
  int64_t offset[4];
  float weight[4];
};

// As grid_sample(align_corners=False, padding_mode="zeros"): u, v in [-1, 1] span the plane from edge to edge. If asked
// for, slope_u and slope_v receive the derivatives of the weights. NaN counts as outside.
EG3D_INLINE Footprint footprint(const PlaneLayout& layout, float u, float v, float* slope_u, float* slope_v) {
  Footprint result{};
  const float x = ((u + 1) * layout.width - 1) / 2, y = ((v + 1) * layout.height - 1) / 2;
  const bool touches = x >= -1 && x < layout.width && y >= -1 && y < layout.height;
  const float left = touches ? floorf(x) : 0, top = touches ? floorf(y) : 0;
  const float wx[2] = {1 - (x - left), x - left}, wy[2] = {1 - (y - top), y - top};
  for (int k = 0; k < 4; ++k) {
    const int i = k & 1, j = k >> 1;
    const int64_t column = static_cast<int64_t>(left) + i, row = static_cast<int64_t>(top) + j;
    const bool inside = touches && column >= 0 && column < layout.width && row >= 0 && row < layout.height;
    result.offset[k] = inside ? (row * layout.width + column) * layout.channels : 0;
    result.weight[k] = inside ? wx[i] * wy[j] : 0;
    if (slope_u) slope_u[k] = inside ? (i ? wy[j] : -wy[j]) * layout.width / 2 : 0;
    if (slope_v) slope_v[k] = inside ? (j ? wx[i] : -wx[i]) * layout.height / 2 : 0;
  }
  return result;
}

EG3D_INLINE Footprint footprint(const PlaneLayout& layout, int plane, const float* point) {
  const int32_t* axes = layout.axes + 2 * plane;
  return footprint(layout, point[axes[0]], point[axes[1]], nullptr, nullptr);
}

// out[channels] = features of the point.
EG3D_INLINE void gather(const PlaneLayout& layout, const float* planes, const float* point, float* out) {
  const float* texel[12];
  float weight[12];
  for (int plane = 0; plane < 3; ++plane) {
    const Footprint print = footprint(layout, plane, point);
    for (int k = 0; k < 4; ++k) {
      texel[4 * plane + k] = planes + plane * layout.plane_stride() + print.offset[k];
      weight[4 * plane + k] = print.weight[k] * (1.f / 3);
    }
  }
#pragma omp simd
  for (int64_t c = 0; c < layout.channels; ++c) {
    float sum = 0;
#pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) sum += weight[k] * texel[k][c];
    out[c] = sum;
  }
}

// One plane's share of the backward pass: plane_grad += what the point's gradient [channels] leaves in rows
// first_row .. end_row - 1.
EG3D_INLINE void scatter(const PlaneLayout& layout, int plane, const float* point, const float* grad, int64_t first_row,
                         int64_t end_row, float* plane_grad) {
  const Footprint print = footprint(layout, plane, point);
  const int64_t row_stride = layout.width * layout.channels;
  for (int k = 0; k < 4; ++k) {
    if (print.weight[k] == 0 || print.offset[k] < first_row * row_stride || print.offset[k] >= end_row * row_stride)
      continue;
    const float weight = print.weight[k] * (1.f / 3);
    float* texel = plane_grad + print.offset[k];
#pragma omp simd
    for (int64_t c = 0; c < layout.channels; ++c) texel[c] += weight * grad[c];
  }
}

// point_grad[3] = the backward pass to the point's coordinates.
EG3D_INLINE void gather_slope(const PlaneLayout& layout, const float* planes, const float* point, const float* grad,
                              float* point_grad) {
  point_grad[0] = point_grad[1] = point_grad[2] = 0;
  for (int plane = 0; plane < 3; ++plane) {
    const int32_t along_width = layout.axes[2 * plane], along_height = layout.axes[2 * plane + 1];
    float slope_u[4], slope_v[4];
    const Footprint print = footprint(layout, point[along_width], point[along_height], slope_u, slope_v);
    const float* texels = planes + plane * layout.plane_stride();
    float grad_u = 0, grad_v = 0;
#pragma omp simd reduction(+ : grad_u, grad_v)
    for (int64_t c = 0; c < layout.channels; ++c) {
      float along_u = 0, along_v = 0;
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const float texel = texels[print.offset[k] + c];
        along_u += slope_u[k] * texel;
        along_v += slope_v[k] * texel;
      }
      grad_u += grad[c] * along_u;
      grad_v += grad[c] * along_v;
    }
    point_grad[along_width] += grad_u * (1.f / 3);
    point_grad[along_height] += grad_v * (1.f / 3);
  }
}

}  // namespace eg3d
