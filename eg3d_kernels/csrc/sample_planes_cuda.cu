// The op sample_planes on graphics cards: a thread for each point. Arrays as in sample_planes_cpu.cpp, but for axes, which
// are in the host's memory.
#include "sample_planes.h"

#include "launch.h"

using namespace eg3d;

namespace {

struct Points {
  Points(int64_t per_image, int64_t height, int64_t width, int64_t channels, const int32_t* host_axes)
      : per_image(per_image), height(height), width(width), channels(channels) {
    std::copy_n(host_axes, 6, axes);
  }

  EG3D_INLINE PlaneLayout layout() const { return {height, width, channels, axes}; }
  EG3D_INLINE int64_t first_texel(int64_t i) const { return i / per_image * 3 * height * width * channels; }

  int64_t per_image, height, width, channels;
  int32_t axes[6];
};

struct Gather {
  Points points;
  const float *planes, *coordinates;
  float* out;

  EG3D_INLINE void operator()(int64_t i) const {
    const PlaneLayout layout = points.layout();
    Footprint prints[3];
    for (int plane = 0; plane < 3; ++plane) prints[plane] = footprint(layout, plane, coordinates + 3 * i);
    gather(layout, planes + points.first_texel(i), prints, out + i * layout.channels);
  }
};

struct Scatter {
  Points points;
  const float *coordinates, *grad;
  float* planes_grad;

  EG3D_INLINE void operator()(int64_t i) const {
    const PlaneLayout layout = points.layout();
    for (int plane = 0; plane < 3; ++plane)
      scatter(layout, footprint(layout, plane, coordinates + 3 * i), grad + i * layout.channels, 0, layout.height,
              planes_grad + points.first_texel(i) + plane * layout.plane_stride());
  }
};

struct GatherSlope {
  Points points;
  const float *planes, *coordinates, *grad;
  float* points_grad;

  EG3D_INLINE void operator()(int64_t i) const {
    gather_slope(points.layout(), planes + points.first_texel(i), coordinates + 3 * i, grad + i * points.channels,
                 points_grad + 3 * i);
  }
};

}  // namespace

extern "C" {
#include "functions_cpu.h"

void eg3d_sample_planes(const float* planes, const float* points, float* out, int64_t n, int64_t p, int64_t height,
                        int64_t width, int64_t channels, const int32_t* axes, int64_t stream) {
  launch(n * p, stream, Gather{{p, height, width, channels, axes}, planes, points, out});
}

// planes_grad must be zero on entry. Points add to the same texels in any order, so the last digits differ between runs.
void eg3d_sample_planes_grad_planes(const float* points, const float* grad, float* planes_grad, int64_t n, int64_t p,
                                    int64_t height, int64_t width, int64_t channels, const int32_t* axes,
                                    int64_t stream) {
  launch(n * p, stream, Scatter{{p, height, width, channels, axes}, points, grad, planes_grad});
}

void eg3d_sample_planes_grad_points(const float* planes, const float* points, const float* grad, float* points_grad,
                                    int64_t n, int64_t p, int64_t height, int64_t width, int64_t channels,
                                    const int32_t* axes, int64_t stream) {
  launch(n * p, stream, GatherSlope{{p, height, width, channels, axes}, planes, points, grad, points_grad});
}
}
