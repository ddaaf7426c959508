// The samples of some rays, and what is done to one sample or one ray of them, there and back. Arithmetic only; the arrays
// lie in one piece of memory: first the coarse samples of all rays, then the fine ones.
#pragma once

#include "render_rays.h"
#include "sample_planes.h"

namespace eg3d {

struct RayBlock {
  RenderRaysInputs in;
  int64_t first_ray, rays;  // counted over all images
  // Of each sample: [rows], and [rows, colors], [rows, channels], [rows, hidden]; colors are after their sigmoid.
  float *depths, *raw_sigma, *colors, *features, *hidden;
  float *slopes, *grad_out, *grad_hidden, *grad_features;  // [rows, hidden | outputs | hidden | channels]; backward only
  float* of_rays;                                          // kRayArrays arrays of samples() for each ray

  static constexpr int64_t kRayArrays = 8;

  // Floats for each sample.
  static int64_t sample_size(const RenderRaysInputs& in, bool backward) {
    const int64_t more = backward ? 2 * in.hidden + in.outputs + in.channels : 0;
    return 2 + in.outputs - 1 + in.channels + in.hidden + kRayArrays + more;
  }

  void place(float* memory, bool backward) {
    const int64_t rows = rays * samples();
    depths = memory;
    raw_sigma = depths + rows;
    of_rays = raw_sigma + rows;
    colors = of_rays + rows * kRayArrays;
    features = colors + rows * (in.outputs - 1);
    hidden = features + rows * in.channels;
    slopes = backward ? hidden + rows * in.hidden : nullptr;
    grad_out = backward ? slopes + rows * in.hidden : nullptr;
    grad_hidden = backward ? grad_out + rows * in.outputs : nullptr;
    grad_features = backward ? grad_hidden + rows * in.hidden : nullptr;
  }

  EG3D_INLINE int64_t samples() const { return in.coarse + in.fine; }
  EG3D_INLINE PlaneLayout layout() const { return {in.height, in.width, in.channels, in.axes}; }
  EG3D_INLINE float* ray_array(int64_t r, int64_t which) const { return of_rays + (r * kRayArrays + which) * samples(); }

  EG3D_INLINE int64_t ray_of(int64_t row) const {
    const int64_t coarse_rows = rays * in.coarse;
    return first_ray + (row < coarse_rows ? row / in.coarse : (row - coarse_rows) / in.fine);
  }

  EG3D_INLINE int64_t first_texel(int64_t ray) const { return ray / in.rays * 3 * layout().plane_stride(); }

  // The point of a sample, in the planes' coordinates.
  EG3D_INLINE void locate(int64_t row, float* point) const {
    const int64_t ray = ray_of(row);
    for (int axis = 0; axis < 3; ++axis)
      point[axis] = 2 / in.box_warp * (in.origins[3 * ray + axis] + depths[row] * in.directions[3 * ray + axis]);
  }

  // One sample: from its depth to density and colours.
  EG3D_INLINE void shade(int64_t row) const {
    if (row < rays * in.coarse) depths[row] = in.depths[first_ray * in.coarse + row];
    float point[3];
    locate(row, point);
    Footprint prints[3];
    for (int plane = 0; plane < 3; ++plane) prints[plane] = footprint(layout(), plane, point);
    float *feature = features + row * in.channels, *unit = hidden + row * in.hidden;
    gather(layout(), in.planes + first_texel(ray_of(row)), prints, feature);
    for (int64_t j = 0; j < in.hidden; ++j) {
      float sum = in.b0[j];
      for (int64_t c = 0; c < in.channels; ++c) sum += in.w0[j * in.channels + c] * feature[c];
      unit[j] = softplus(sum);
      if (slopes) slopes[row * in.hidden + j] = sigmoid(sum);
    }
    for (int64_t k = 0; k < in.outputs; ++k) {
      float sum = 0;
      for (int64_t j = 0; j < in.hidden; ++j) sum += in.w1[k * in.hidden + j] * unit[j];
      sum += in.b1[k];
      if (k == 0) raw_sigma[row] = sum;
      if (k > 0) colors[row * (in.outputs - 1) + k - 1] = sigmoid(sum);
    }
  }

  // One ray, by its place in the block: the depths of its fine samples, ascending.
  EG3D_INLINE void place_fine_samples(int64_t r) const {
    const float *coarse = depths + r * in.coarse, *u = in.u + (first_ray + r) * in.fine;
    float *fine = depths + rays * in.coarse + r * in.fine, *weights = ray_array(r, 2), *cdf = ray_array(r, 3);
    composite_weights(in.coarse, coarse, raw_sigma + r * in.coarse, ray_array(r, 0), ray_array(r, 1), weights);
    importance_cdf(in.coarse, weights, cdf);
    for (int64_t i = 0; i < in.fine; ++i) fine[i] = importance_depth(in.coarse, coarse, cdf, u[i]);
    sort(in.fine, fine);
  }

  // One ray's samples in order of depth.
  struct Sorted {
    int32_t* rows;
    float *depths, *raw_sigma, *passing, *transmittance, *weights;
    float* row_weights;  // of samples, where weights are of the intervals between them
    float* scratch;
    float opacity, total_depth;  // depths counted from the first sample
  };

  EG3D_INLINE Sorted weigh(int64_t r) const {
    Sorted s{reinterpret_cast<int32_t*>(ray_array(r, 0)), ray_array(r, 1), ray_array(r, 2), ray_array(r, 3),
             ray_array(r, 4), ray_array(r, 5), ray_array(r, 6), ray_array(r, 7), 0, 0};
    int64_t coarse = r * in.coarse, fine = rays * in.coarse + r * in.fine;
    const int64_t coarse_end = coarse + in.coarse, fine_end = fine + in.fine, last = samples() - 1;
    for (int64_t k = 0; k <= last; ++k) {
      const bool take_coarse = fine == fine_end || (coarse < coarse_end && depths[coarse] <= depths[fine]);
      const int64_t row = take_coarse ? coarse++ : fine++;
      s.rows[k] = static_cast<int32_t>(row);
      s.depths[k] = depths[row];
      s.raw_sigma[k] = raw_sigma[row];
    }
    composite_weights(samples(), s.depths, s.raw_sigma, s.passing, s.transmittance, s.weights);
    for (int64_t k = 0; k < last; ++k) {
      s.opacity += s.weights[k];
      s.total_depth += s.weights[k] * middle_from_first(s.depths, k);
      s.row_weights[k] = (k ? s.weights[k - 1] + s.weights[k] : s.weights[k]) / 2;
    }
    s.row_weights[last] = s.weights[last - 1] / 2;
    return s;
  }

  // One ray's pixel.
  EG3D_INLINE void composite(int64_t r, float* out, float* depth, float* opacity, float* depth_min,
                             float* depth_max) const {
    const Sorted s = weigh(r);
    const int64_t count = in.outputs - 1, ray = first_ray + r;
    opacity[ray] = s.opacity;
    depth[ray] = s.opacity == 0 ? INFINITY : s.depths[0] + s.total_depth / s.opacity;
    depth_min[ray] = depth_max[ray] = s.depths[0];
    for (int64_t k = 1; k < samples(); ++k) {
      if (s.depths[k] < depth_min[ray]) depth_min[ray] = s.depths[k];
      if (s.depths[k] > depth_max[ray]) depth_max[ray] = s.depths[k];
    }
    const float behind = in.white_back ? 1 - s.opacity : 0;
    for (int64_t c = 0; c < count; ++c) {
      float sum = 0;
      for (int64_t k = 0; k < samples(); ++k) sum += s.row_weights[k] * colors[s.rows[k] * count + c];
      out[ray * count + c] = 2 * (kColorScale * sum + kColorShift * s.opacity + behind) - 1;
    }
  }

  // One ray's gradient to grad_out of its samples: raw density, then the colours before their sigmoid.
  EG3D_INLINE void composite_backward(int64_t r, const float* outer, float grad_depth, float grad_opacity) const {
    const Sorted s = weigh(r);
    const int64_t count = in.outputs - 1;
    float outer_sum = 0;
    for (int64_t c = 0; c < count; ++c) outer_sum += 2 * outer[c];
    if (in.white_back) grad_opacity -= outer_sum;
    float* grad_row_weights = s.scratch;
    for (int64_t k = 0; k < samples(); ++k) {
      const float* color = colors + s.rows[k] * count;
      float *grad = grad_out + s.rows[k] * in.outputs + 1, sum = 0;
      for (int64_t c = 0; c < count; ++c) {
        const float grad_color = 2 * kColorScale * outer[c];
        sum += grad_color * color[c];
        grad[c] = grad_color * s.row_weights[k] * color[c] * (1 - color[c]);
      }
      grad_row_weights[k] = sum + kColorShift * outer_sum;
    }
    const bool empty = s.opacity == 0;
    const float depth = empty ? 0 : s.total_depth / s.opacity, depth_slope = empty ? 0 : grad_depth / s.opacity;
    float* grad_weights = s.row_weights;
    for (int64_t k = 0; k < samples() - 1; ++k) {
      const float from_mean = middle_from_first(s.depths, k) - depth;
      grad_weights[k] = (grad_row_weights[k] + grad_row_weights[k + 1]) / 2 + depth_slope * from_mean + grad_opacity;
    }
    float* grad_raw_sigma = s.scratch;
    composite_weights_backward(samples(), s.depths, s.raw_sigma, s.passing, s.transmittance, s.weights, grad_weights,
                               grad_raw_sigma);
    for (int64_t k = 0; k < samples(); ++k) grad_out[s.rows[k] * in.outputs] = grad_raw_sigma[k];
  }

  // One point, which is a ray with one sample: what the decoder says of it.
  EG3D_INLINE void read(int64_t r, float* raw_sigma_out, float* rgb) const {
    const int64_t count = in.outputs - 1, point = first_ray + r;
    raw_sigma_out[point] = raw_sigma[r];
    for (int64_t c = 0; c < count; ++c) rgb[point * count + c] = kColorScale * colors[r * count + c] + kColorShift;
  }

  // One point: grad_out from the gradients of what read() tells.
  EG3D_INLINE void read_backward(int64_t r, const float* grad_raw_sigma, const float* grad_rgb) const {
    const int64_t count = in.outputs - 1, point = first_ray + r;
    float* grad = grad_out + r * in.outputs;
    grad[0] = grad_raw_sigma[point];
    for (int64_t c = 0; c < count; ++c) {
      const float color = colors[r * count + c];
      grad[c + 1] = kColorScale * grad_rgb[point * count + c] * color * (1 - color);
    }
  }

  // One sample: from grad_out to the hidden layer before its softplus.
  EG3D_INLINE void hidden_backward(int64_t row) const {
    for (int64_t j = 0; j < in.hidden; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < in.outputs; ++k) sum += grad_out[row * in.outputs + k] * in.w1[k * in.hidden + j];
      grad_hidden[row * in.hidden + j] = sum * slopes[row * in.hidden + j];
    }
  }

  // One sample: from the hidden layer on to the planes and its ray; either may be null.
  EG3D_INLINE void sample_backward(int64_t row, float* planes_grad, float* origins_grad, float* directions_grad) const {
    float* grad = grad_features + row * in.channels;
    for (int64_t c = 0; c < in.channels; ++c) {
      float sum = 0;
      for (int64_t j = 0; j < in.hidden; ++j) sum += grad_hidden[row * in.hidden + j] * in.w0[j * in.channels + c];
      grad[c] = sum;
    }
    const int64_t ray = ray_of(row);
    float point[3], point_grad[3];
    locate(row, point);
    if (planes_grad)
      for (int plane = 0; plane < 3; ++plane)
        scatter(layout(), footprint(layout(), plane, point), grad, 0, in.height,
                planes_grad + first_texel(ray) + plane * layout().plane_stride());
    if (!origins_grad) return;
    gather_slope(layout(), in.planes + first_texel(ray), point, grad, point_grad);
    for (int axis = 0; axis < 3; ++axis) {
      add(origins_grad + 3 * ray + axis, 2 / in.box_warp * point_grad[axis]);
      if (directions_grad) add(directions_grad + 3 * ray + axis, 2 / in.box_warp * depths[row] * point_grad[axis]);
    }
  }
};

}  // namespace eg3d
