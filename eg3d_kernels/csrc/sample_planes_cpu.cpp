// The op sample_planes on the CPU. Every array is contiguous: planes [n, 3, height, width, channels], points [n, p, 3],
// features and their gradient [n, p, channels].
#include <algorithm>

#include "sample_planes.h"

using eg3d::PlaneLayout;

extern "C" {
#include "functions_cpu.h"

void eg3d_sample_planes(const float* planes, const float* points, float* out, int64_t n, int64_t p, int64_t height,
                        int64_t width, int64_t channels, const int32_t* axes, int64_t threads) {
  const PlaneLayout layout{height, width, channels, axes};
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < n * p; ++i) {
    eg3d::Footprint prints[3];
    eg3d::footprints(layout, points + 3 * i, prints);
    eg3d::gather(layout, planes + i / p * 3 * layout.plane_stride(), prints, out + i * channels);
  }
}

// planes_grad must be zero on entry. A task owns a band of rows of one plane and visits all points of its image, so each
// texel receives its sums in the order of the points: no races, and the same result for any number of threads.
void eg3d_sample_planes_grad_planes(const float* points, const float* grad, float* planes_grad, int64_t n, int64_t p,
                                    int64_t height, int64_t width, int64_t channels, const int32_t* axes,
                                    int64_t threads) {
  if (n == 0) return;
  const PlaneLayout layout{height, width, channels, axes};
  const int64_t wanted = threads == 1 ? 1 : (4 * threads + 3 * n - 1) / (3 * n);
  const int64_t bands = std::max<int64_t>(1, std::min(wanted, height));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t task = 0; task < n * 3 * bands; ++task) {
    const int64_t image = task / (3 * bands), plane = task / bands % 3, band = task % bands;
    const int64_t first_row = height * band / bands, end_row = height * (band + 1) / bands;
    float* plane_grad = planes_grad + (image * 3 + plane) * layout.plane_stride();
    for (int64_t i = image * p; i < (image + 1) * p; ++i)
      eg3d::scatter(layout, eg3d::footprint(layout, plane, points + 3 * i), grad + i * channels, first_row, end_row,
                    plane_grad);
  }
}

void eg3d_sample_planes_grad_points(const float* planes, const float* points, const float* grad, float* points_grad,
                                    int64_t n, int64_t p, int64_t height, int64_t width, int64_t channels,
                                    const int32_t* axes, int64_t threads) {
  const PlaneLayout layout{height, width, channels, axes};
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < n * p; ++i)
    eg3d::gather_slope(layout, planes + i / p * 3 * layout.plane_stride(), points + 3 * i, grad + i * channels,
                       points_grad + 3 * i);
}
}
