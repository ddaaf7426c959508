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

// The four texels around a position: offsets into the plane and bilinear weights. Texels outside weigh nothing; their
// offsets are those of texels inside, so that they may be read.
struct Footprint {
  int64_t offset[4];
  float weight[4];
};

// One direction of a footprint: two neighbouring texels, their weights and the derivatives of these.
struct Span {
  int64_t texel[2];
  float weight[2], slope[2];
};

// Position u in [-1, 1] spans the texels from edge to edge. NaN counts as outside.
EG3D_INLINE Span span(float u, int64_t size) {
  const float x = ((u + 1) * size - 1) / 2;
  if (!(x >= -1 && x < size)) return Span{};
  const float left = floorf(x);
  const int64_t first = static_cast<int64_t>(left);
  const bool inside[2] = {first >= 0, first + 1 < size};
  return {{inside[0] ? first : 0, inside[1] ? first + 1 : first},
          {inside[0] ? 1 - (x - left) : 0, inside[1] ? x - left : 0},
          {inside[0] ? -0.5f * size : 0, inside[1] ? 0.5f * size : 0}};
}

// The footprint where two spans cross. If asked for, slope_u and slope_v receive the derivatives of its weights along
// width and height.
EG3D_INLINE Footprint crossing(const PlaneLayout& layout, const Span& columns, const Span& rows,
                               float* slope_u = nullptr, float* slope_v = nullptr) {
  Footprint result;
  for (int k = 0; k < 4; ++k) {
    const int i = k & 1, j = k >> 1;
    result.offset[k] = (rows.texel[j] * layout.width + columns.texel[i]) * layout.channels;
    result.weight[k] = rows.weight[j] * columns.weight[i];
    if (slope_u) slope_u[k] = rows.weight[j] * columns.slope[i];
    if (slope_v) slope_v[k] = rows.slope[j] * columns.weight[i];
  }
  return result;
}

// As grid_sample(align_corners=False, padding_mode="zeros") in one plane.
EG3D_INLINE Footprint footprint(const PlaneLayout& layout, int plane, const float* point, float* slope_u = nullptr,
                                float* slope_v = nullptr) {
  return crossing(layout, span(point[layout.axes[2 * plane]], layout.width),
                  span(point[layout.axes[2 * plane + 1]], layout.height), slope_u, slope_v);
}

// The same in all three planes, faster where they are square: they share the coordinates' spans.
EG3D_INLINE void footprints(const PlaneLayout& layout, const float* point, Footprint* prints) {
  if (layout.width != layout.height) {
    for (int plane = 0; plane < 3; ++plane) prints[plane] = footprint(layout, plane, point);
    return;
  }
  const Span spans[3] = {span(point[0], layout.width), span(point[1], layout.width), span(point[2], layout.width)};
  for (int plane = 0; plane < 3; ++plane)
    prints[plane] = crossing(layout, spans[layout.axes[2 * plane]], spans[layout.axes[2 * plane + 1]]);
}

// out[channels] = features of the point whose footprints in the three planes these are.
EG3D_INLINE void gather(const PlaneLayout& layout, const float* planes, const Footprint* prints, float* out) {
  const float* texel[12];
  float weight[12];
  for (int k = 0; k < 12; ++k) {
    texel[k] = planes + k / 4 * layout.plane_stride() + prints[k / 4].offset[k % 4];
    weight[k] = prints[k / 4].weight[k % 4] * (1.f / 3);
  }
#pragma omp simd
  for (int64_t c = 0; c < layout.channels; ++c) {
    float sum[3];
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      sum[i] = weight[4 * i] * texel[4 * i][c];
#pragma GCC unroll 3
      for (int k = 4 * i + 1; k < 4 * i + 4; ++k) sum[i] += weight[k] * texel[k][c];
    }
    out[c] = sum[0] + sum[1] + sum[2];
  }
}

// One plane's share of the backward pass: plane_grad += what the point's gradient [channels] leaves in rows
// first_row .. end_row - 1.
EG3D_INLINE void scatter(const PlaneLayout& layout, const Footprint& print, const float* grad, int64_t first_row,
                         int64_t end_row, float* plane_grad) {
  const int64_t row_stride = layout.width * layout.channels;
  for (int k = 0; k < 4; ++k) {
    if (print.weight[k] == 0 || print.offset[k] < first_row * row_stride || print.offset[k] >= end_row * row_stride)
      continue;
    const float weight = print.weight[k] * (1.f / 3);
    float* texel = plane_grad + print.offset[k];
#pragma omp simd
    for (int64_t c = 0; c < layout.channels; ++c) add(texel + c, weight * grad[c]);
  }
}

// point_grad[3] = the backward pass to the point's coordinates.
EG3D_INLINE void gather_slope(const PlaneLayout& layout, const float* planes, const float* point, const float* grad,
                              float* point_grad) {
  point_grad[0] = point_grad[1] = point_grad[2] = 0;
  for (int plane = 0; plane < 3; ++plane) {
    float slope_u[4], slope_v[4];
    const Footprint print = footprint(layout, plane, point, slope_u, slope_v);
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
    point_grad[layout.axes[2 * plane]] += grad_u * (1.f / 3);
    point_grad[layout.axes[2 * plane + 1]] += grad_v * (1.f / 3);
  }
}

}  // namespace eg3d
