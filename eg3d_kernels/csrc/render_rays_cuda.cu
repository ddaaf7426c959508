// The ops render_rays and query_points on graphics cards: a thread for each sample or each ray; points are rays with one
// sample, at their origin. Rays are taken in blocks whose samples fit in the memory set aside for them; the backward pass
// computes its blocks anew instead of keeping them.
#include "launch.h"

extern "C" {
#include "functions_cpu.h"
}

#include "ray_block.h"

using namespace eg3d;

#ifndef EG3D_WORKSPACE
#define EG3D_WORKSPACE (int64_t{64} << 20)  // floats
#endif

namespace {

struct Shade {
  RayBlock block;
  int64_t first_row;
  EG3D_INLINE void operator()(int64_t i) const { block.shade(first_row + i); }
};

struct PlaceFineSamples {
  RayBlock block;
  EG3D_INLINE void operator()(int64_t r) const { block.place_fine_samples(r); }
};

struct Composite {
  RayBlock block;
  float *features, *depth, *opacity, *depth_min, *depth_max;
  EG3D_INLINE void operator()(int64_t r) const { block.composite(r, features, depth, opacity, depth_min, depth_max); }
};

struct CompositeBackward {
  RayBlock block;
  const float *features, *depth, *opacity;  // gradients
  EG3D_INLINE void operator()(int64_t r) const {
    const int64_t ray = block.first_ray + r;
    block.composite_backward(r, features + ray * (block.in.outputs - 1), depth[ray], opacity[ray]);
  }
};

struct Read {
  RayBlock block;
  float *raw_sigma, *rgb;
  EG3D_INLINE void operator()(int64_t r) const { block.read(r, raw_sigma, rgb); }
};

struct ReadBackward {
  RayBlock block;
  const float *raw_sigma, *rgb;  // gradients
  EG3D_INLINE void operator()(int64_t r) const { block.read_backward(r, raw_sigma, rgb); }
};

struct HiddenBackward {
  RayBlock block;
  EG3D_INLINE void operator()(int64_t row) const { block.hidden_backward(row); }
};

struct SampleBackward {
  RayBlock block;
  float *planes, *origins, *directions;
  EG3D_INLINE void operator()(int64_t row) const { block.sample_backward(row, planes, origins, directions); }
};

// One weight of a layer, or where there are no inputs one bias, and one slice of the samples.
struct SumSamples {
  const float *grad, *input;  // [rows, outputs], [rows, inputs]
  float* result;              // [outputs, inputs], or [outputs]
  int64_t rows, outputs, inputs;

  EG3D_INLINE void operator()(int64_t i) const {
    const int64_t columns = input ? inputs : 1, column = i % columns, output = i / columns % outputs;
    const int64_t slice = i / columns / outputs, end = slice_end(slice, rows);
    float sum = 0;
    for (int64_t row = slice * kSlice; row < end; ++row)
      sum += grad[row * outputs + output] * (input ? input[row * inputs + column] : 1);
    add(result + output * columns + column, sum);
  }
};

void sum_samples(int64_t rows, const float* grad, int64_t outputs, const float* input, int64_t inputs, float* weight,
                 float* bias, int64_t stream) {
  launch(slices(rows) * outputs * inputs, stream, SumSamples{grad, input, weight, rows, outputs, inputs});
  launch(slices(rows) * outputs, stream, SumSamples{grad, nullptr, bias, rows, outputs, 0});
}

// Calls finish(block) for blocks of shaded samples that together are all rays.
template <class Finish>
void for_each_block(const RenderRaysInputs& in, bool backward, int64_t stream, const Finish& finish) {
  const int64_t total = in.images * in.rays, ray_size = (in.coarse + in.fine) * RayBlock::sample_size(in, backward);
  const int64_t most = std::max<int64_t>(1, std::min<int64_t>(total, EG3D_WORKSPACE / ray_size));
  if (total == 0) return;
  const Workspace workspace(most * ray_size, stream);
  for (int64_t first = 0; first < total; first += most) {
    RayBlock block{};
    block.in = in;
    block.first_ray = first;
    block.rays = std::min(most, total - first);
    block.place(workspace.data(), backward);
    launch(block.rays * in.coarse, stream, Shade{block, 0});
    if (in.fine) {
      launch(block.rays, stream, PlaceFineSamples{block});
      launch(block.rays * in.fine, stream, Shade{block, block.rays * in.coarse});
    }
    finish(block);
  }
}

// Where gradients go; those not wanted are null.
struct Gradients {
  float *planes, *w0, *b0, *w1, *b1, *origins, *directions;
};

// From the gradients of a block's samples on. All results must be zero on entry. Samples add to the same values in any
// order, so the last digits differ between runs.
void decoder_backward(const RayBlock& block, const Gradients& to, int64_t stream) {
  const RenderRaysInputs& in = block.in;
  const int64_t rows = block.rays * block.samples();
  launch(rows, stream, HiddenBackward{block});
  if (to.w0) {
    sum_samples(rows, block.grad_hidden, in.hidden, block.features, in.channels, to.w0, to.b0, stream);
    sum_samples(rows, block.grad_out, in.outputs, block.hidden, in.hidden, to.w1, to.b1, stream);
  }
  if (to.planes || to.origins) launch(rows, stream, SampleBackward{block, to.planes, to.origins, to.directions});
}

}  // namespace

extern "C" {

void eg3d_render_rays(const RenderRaysInputs* in, float* features, float* depth, float* opacity, float* depth_min,
                      float* depth_max, int64_t stream) {
  for_each_block(*in, false, stream, [&](const RayBlock& block) {
    launch(block.rays, stream, Composite{block, features, depth, opacity, depth_min, depth_max});
  });
}

void eg3d_render_rays_backward(const RenderRaysInputs* in, const float* grad_features, const float* grad_depth,
                               const float* grad_opacity, float* planes_grad, float* w0_grad, float* b0_grad,
                               float* w1_grad, float* b1_grad, float* origins_grad, float* directions_grad,
                               int64_t stream) {
  const Gradients to{planes_grad, w0_grad, b0_grad, w1_grad, b1_grad, origins_grad, directions_grad};
  for_each_block(*in, true, stream, [&](const RayBlock& block) {
    launch(block.rays, stream, CompositeBackward{block, grad_features, grad_depth, grad_opacity});
    decoder_backward(block, to, stream);
  });
}

void eg3d_query_points(const RenderRaysInputs* in, float* raw_sigma, float* rgb, int64_t stream) {
  for_each_block(*in, false, stream,
                 [&](const RayBlock& block) { launch(block.rays, stream, Read{block, raw_sigma, rgb}); });
}

void eg3d_query_points_backward(const RenderRaysInputs* in, const float* grad_raw_sigma, const float* grad_rgb,
                                float* planes_grad, float* w0_grad, float* b0_grad, float* w1_grad, float* b1_grad,
                                float* points_grad, int64_t stream) {
  const Gradients to{planes_grad, w0_grad, b0_grad, w1_grad, b1_grad, points_grad, nullptr};
  for_each_block(*in, true, stream, [&](const RayBlock& block) {
    launch(block.rays, stream, ReadBackward{block, grad_raw_sigma, grad_rgb});
    decoder_backward(block, to, stream);
  });
}
}
