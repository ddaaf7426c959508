// The ops render_rays and query_points on the CPU; points are rays with one sample, at their origin. Rays are taken in
// blocks of a few hundred samples, which stay in cache from the look-up of features to the pixel; the backward pass
// computes its blocks anew instead of keeping them.
#include "render_rays.h"

#include <memory>
#include <new>
#include <vector>

#include "denormals.h"
#include "matmul.h"
#include "sample_planes.h"

using namespace eg3d;

extern "C" {
#include "functions_cpu.h"
}

namespace {

constexpr int64_t kBlockSamples = 256;
constexpr int64_t kGroup = 8;       // coarse samples between two looks at how much light is left
constexpr float kEmpty = -1e4f;     // raw density of a sample that was left out
constexpr float kUnfelt = 1e-9f;    // share of a pixel's gradient below which a sample gets none: less than rounding

// Zeros, aligned for vector loads.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t size) : data_(static_cast<float*>(::operator new(size * 4 + 64, std::align_val_t(64)))) {
    std::fill_n(data_.get(), size + 16, 0.f);
  }
  operator float*() const { return data_.get(); }

 private:
  struct Delete {
    void operator()(float* data) const { ::operator delete(data, std::align_val_t(64)); }
  };
  std::unique_ptr<float[], Delete> data_;
};

// The decoder's weights as the products read them: rows padded to whole vectors.
struct Decoder {
  explicit Decoder(const RenderRaysInputs& in)
      : hidden_stride(padded(in.hidden)),
        color_stride(padded(in.outputs - 1)),
        feature_stride(padded(in.channels)),
        zeros(std::max({hidden_stride, color_stride, feature_stride})),
        w0(in.hidden * feature_stride),
        w0_transposed(in.channels * hidden_stride),
        b0(hidden_stride),
        w1(in.outputs * hidden_stride),
        color_transposed(in.hidden * color_stride),
        color_bias(color_stride) {
    for (int64_t j = 0; j < in.hidden; ++j) {
      b0[j] = in.b0[j];
      for (int64_t c = 0; c < in.channels; ++c)
        w0[j * feature_stride + c] = w0_transposed[c * hidden_stride + j] = in.w0[j * in.channels + c];
      for (int64_t k = 0; k < in.outputs; ++k) w1[k * hidden_stride + j] = in.w1[k * in.hidden + j];
      for (int64_t k = 1; k < in.outputs; ++k) color_transposed[j * color_stride + k - 1] = in.w1[k * in.hidden + j];
    }
    for (int64_t k = 1; k < in.outputs; ++k) color_bias[k - 1] = in.b1[k];
  }

  int64_t hidden_stride, color_stride, feature_stride;
  Buffer zeros;
  Buffer w0, w0_transposed, b0;  // [hidden, channels], [channels, hidden], [hidden]
  Buffer w1;                     // [outputs, hidden]
  Buffer color_transposed, color_bias;  // w1 and b1 without the density: [hidden, colors], [colors]
};

// Where gradients go; those not wanted are null. Strides of the weights' are the decoder's.
struct Gradients {
  float* planes;  // of one image
  float *w0, *b0, *w1, *b1;
  float *origins, *directions;  // of all rays
};

// The samples of some rays of one image: first the coarse ones of all rays, then the fine ones. A sample's row is its place
// in that order; its slot is its place among those that were decoded: the same number, unless samples were left out.
class Block {
 public:
  Block(const RenderRaysInputs& in, const Decoder& decoder, bool backward)
      : in_(in),
        decoder_(decoder),
        layout_{in.height, in.width, in.channels, in.axes},
        samples_(in.coarse + in.fine),
        max_rays_(std::max<int64_t>(1, kBlockSamples / samples_)),
        depths_(max_rays_ * samples_),
        footprints_(max_rays_ * samples_ * 3),
        features_(max_rays_ * samples_ * decoder.feature_stride),
        hidden_(max_rays_ * samples_ * decoder.hidden_stride),
        raw_sigma_(max_rays_ * samples_),
        colors_(max_rays_ * samples_ * decoder.color_stride),
        rows_(max_rays_ * samples_),
        slots_(max_rays_ * samples_),
        counts_(max_rays_ * samples_),
        visible_until_(max_rays_),
        block_rows_(max_rays_ * samples_),
        block_weights_(max_rays_ * samples_),
        sorted_rows_(samples_),
        sorted_depths_(samples_),
        sorted_raw_sigma_(samples_),
        passing_(samples_),
        transmittance_(samples_),
        weights_(samples_),
        row_weights_(samples_),
        scratch_(std::max(samples_, decoder.color_stride)) {
    if (backward) {
      before_softplus_ = Buffer(max_rays_ * samples_ * decoder.hidden_stride);
      grad_out_ = Buffer(max_rays_ * samples_ * in.outputs);
      grad_hidden_ = Buffer(max_rays_ * samples_ * decoder.hidden_stride);
      grad_features_ = Buffer(max_rays_ * samples_ * decoder.feature_stride);
    }
  }

  int64_t max_rays() const { return max_rays_; }

  // Densities of the block's samples; rays are counted over all images. With min_transmittance, samples that less light
  // reaches may be left out.
  void shade(int64_t image, int64_t first_ray, int64_t rays, float min_transmittance) {
    planes_ = in_.planes + image * 3 * layout_.plane_stride();
    first_ray_ = first_ray;
    rays_ = rays;
    decoded_ = 0;
    std::copy_n(in_.depths + first_ray * in_.coarse, rays * in_.coarse, static_cast<float*>(depths_));
    std::fill_n(static_cast<float*>(visible_until_), rays, INFINITY);
    const int64_t group = min_transmittance > 0 ? kGroup : in_.coarse;
    for (int64_t first = 0; first < in_.coarse; first += group) {
      const int64_t end = std::min(first + group, in_.coarse), start = decoded_;
      for (int64_t r = 0; r < rays; ++r)
        for (int64_t k = first; k < end; ++k) take(r, r * in_.coarse + k);
      decode(start);
      for (int64_t r = 0; r < rays && end < in_.coarse; ++r) find_end(r, end, min_transmittance);
    }
    if (!in_.fine) return;
    const int64_t start = decoded_;
    for (int64_t r = 0; r < rays; ++r) {
      place_fine_samples(r);
      for (int64_t k = 0; k < in_.fine; ++k) take(r, rays * in_.coarse + r * in_.fine + k);
    }
    decode(start);
  }

  // After shade(): the pixels of the block's rays. Only samples that count for something get a colour.
  void composite(float min_transmittance, float* features, float* depth, float* opacity, float* depth_min,
                 float* depth_max) {
    const int64_t colors = in_.outputs - 1;
    const float min_weight = min_transmittance / (2 * samples_);
    for (int64_t r = 0; r < rays_; ++r) {
      const int64_t ray = first_ray_ + r;
      float total_depth = 0;
      opacity[ray] = weigh(r, &total_depth);
      depth[ray] = opacity[ray] == 0 ? INFINITY : sorted_depths_[0] + total_depth / opacity[ray];
      const auto [smallest, largest] = std::minmax_element(&sorted_depths_[0], sorted_depths_ + samples_);
      depth_min[ray] = *smallest;
      depth_max[ray] = *largest;
      for (int64_t k = 0; k < samples_; ++k) {
        const bool counts = !(row_weights_[k] <= min_weight);  // NaN does
        block_rows_[r * samples_ + k] = counts ? sorted_rows_[k] : -1;
        block_weights_[r * samples_ + k] = row_weights_[k];
      }
    }
    color_those_that_count();
    for (int64_t r = 0; r < rays_; ++r) {
      const int64_t ray = first_ray_ + r;
      float* sum = scratch_;
      std::fill_n(sum, colors, 0.f);
      for (int64_t k = r * samples_; k < (r + 1) * samples_; ++k) {
        if (block_rows_[k] < 0) continue;
        const float *color = colors_ + slots_[block_rows_[k]] * decoder_.color_stride, weight = block_weights_[k];
#pragma omp simd
        for (int64_t c = 0; c < colors; ++c) sum[c] += weight * color[c];
      }
      const float behind = in_.white_back ? 1 - opacity[ray] : 0;
      for (int64_t c = 0; c < colors; ++c)
        features[ray * colors + c] = 2 * (kColorScale * sum[c] + kColorShift * opacity[ray] + behind) - 1;
    }
  }

  // After shade() of points, each a ray with one sample: what the decoder says of them.
  void read(float* raw_sigma, float* rgb) {
    const int64_t colors = in_.outputs - 1;
    color(decoded_);
    for (int64_t r = 0; r < rays_; ++r) {
      raw_sigma[first_ray_ + r] = raw_sigma_[r];
      for (int64_t c = 0; c < colors; ++c)
        rgb[(first_ray_ + r) * colors + c] = kColorScale * colors_[r * decoder_.color_stride + c] + kColorShift;
    }
  }

  // After shade() of all samples: grad_out_ from the gradients of the block's pixels. Samples that hardly change their
  // pixel, in empty space or in the dark, are left out from here on.
  void composite_backward(const float* grad_features, const float* grad_depth, const float* grad_opacity) {
    keep_those_that_are_felt();
    color(decoded_);
    for (int64_t r = 0; r < rays_; ++r) {
      const int64_t ray = first_ray_ + r;
      composite_backward(r, grad_features + ray * (in_.outputs - 1), grad_depth[ray], grad_opacity[ray]);
    }
  }

  // After shade() of points: the same from the gradients of what read() tells.
  void read_backward(const float* grad_raw_sigma, const float* grad_rgb) {
    const int64_t colors = in_.outputs - 1;
    color(decoded_);
    for (int64_t r = 0; r < rays_; ++r) {
      float* grad = grad_out_ + r * in_.outputs;
      grad[0] = grad_raw_sigma[first_ray_ + r];
      for (int64_t c = 0; c < colors; ++c) {
        const float color = colors_[r * decoder_.color_stride + c];
        grad[c + 1] = kColorScale * grad_rgb[(first_ray_ + r) * colors + c] * color * (1 - color);
      }
    }
  }

  // After grad_out_ is there: adds to the gradients what it leaves.
  void decoder_backward(Gradients to) {
    const int64_t rows = decoded_, hidden_stride = decoder_.hidden_stride;
    const int64_t feature_stride = decoder_.feature_stride;
    matmul({grad_out_, in_.outputs, 1}, rows, in_.outputs, decoder_.w1, hidden_stride, hidden_stride, decoder_.zeros, 0,
           grad_hidden_, hidden_stride);
    float *grad_hidden = grad_hidden_, *before = before_softplus_;
#pragma omp simd
    for (int64_t i = 0; i < rows * hidden_stride; ++i) grad_hidden[i] *= sigmoid(before[i]);
    if (to.w0) {
      matmul({grad_out_, 1, in_.outputs}, in_.outputs, rows, hidden_, hidden_stride, hidden_stride, to.w1,
             hidden_stride, to.w1, hidden_stride);
      matmul({grad_hidden_, 1, hidden_stride}, in_.hidden, rows, features_, feature_stride, feature_stride, to.w0,
             feature_stride, to.w0, feature_stride);
      add_rows(rows, grad_out_, in_.outputs, to.b1);
      add_rows(rows, grad_hidden_, hidden_stride, to.b0);
    }
    if (!to.planes && !to.origins) return;
    matmul({grad_hidden_, hidden_stride, 1}, rows, in_.hidden, decoder_.w0, feature_stride, feature_stride,
           decoder_.zeros, 0, grad_features_, feature_stride);
    for (int64_t row = 0; to.planes && row < rows; ++row)
      for (int plane = 0; plane < 3; ++plane)
        scatter(layout_, footprints_[3 * row + plane], grad_features_ + row * feature_stride, 0, in_.height,
                to.planes + plane * layout_.plane_stride());
    for (int64_t slot = 0; to.origins && slot < rows; ++slot) {
      const int64_t ray = ray_of(rows_[slot]);
      const float depth = depths_[rows_[slot]];
      float point[3], point_grad[3];
      place(ray, depth, point);
      gather_slope(layout_, planes_, point, grad_features_ + slot * feature_stride, point_grad);
      for (int axis = 0; axis < 3; ++axis) {
        to.origins[3 * ray + axis] += 2 / in_.box_warp * point_grad[axis];
        if (to.directions) to.directions[3 * ray + axis] += 2 / in_.box_warp * depth * point_grad[axis];
      }
    }
  }

 private:
  // The ray, counted over all images, of a sample of the block.
  int64_t ray_of(int64_t row) const {
    const int64_t coarse_rows = rays_ * in_.coarse;
    return first_ray_ + (row < coarse_rows ? row / in_.coarse : (row - coarse_rows) / in_.fine);
  }

  // The point at a depth, in the planes' coordinates.
  void place(int64_t ray, float depth, float* point) const {
    for (int axis = 0; axis < 3; ++axis)
      point[axis] = 2 / in_.box_warp * (in_.origins[3 * ray + axis] + depth * in_.directions[3 * ray + axis]);
  }

  // Gives a sample of ray r a slot, if light reaches it.
  void take(int64_t r, int64_t row) {
    if (depths_[row] > visible_until_[r]) {
      raw_sigma_[row] = kEmpty;
      slots_[row] = -1;
    } else {
      slots_[row] = decoded_;
      rows_[decoded_++] = row;
    }
  }

  // After the first `count` coarse samples of ray r: how far it is seen, once too little light passes them.
  void find_end(int64_t r, int64_t count, float min_transmittance) {
    if (visible_until_[r] < INFINITY) return;
    const float* depths = depths_ + r * in_.coarse;
    composite_weights(count, depths, raw_sigma_ + r * in_.coarse, passing_, transmittance_, weights_);
    if (transmittance_[count - 2] * passing_[count - 2] < min_transmittance) visible_until_[r] = depths[count - 1];
  }

  // Features, hidden layer and density of the samples in the slots from `start` on.
  void decode(int64_t start) {
    const int64_t count = decoded_ - start, hidden_stride = decoder_.hidden_stride;
    for (int64_t slot = start; slot < decoded_; ++slot) {
      float point[3];
      place(ray_of(rows_[slot]), depths_[rows_[slot]], point);
      footprints(layout_, point, &footprints_[3 * slot]);
    }
    for (int64_t slot = start; slot < decoded_; ++slot)
      gather(layout_, planes_, &footprints_[3 * slot], features_ + slot * decoder_.feature_stride);
    float* hidden = hidden_ + start * hidden_stride;
    matmul({features_ + start * decoder_.feature_stride, decoder_.feature_stride, 1}, count, in_.channels,
           decoder_.w0_transposed, hidden_stride, hidden_stride, decoder_.b0, 0, hidden, hidden_stride);
    if (before_softplus_) std::copy_n(hidden, count * hidden_stride, before_softplus_ + start * hidden_stride);
#pragma omp simd
    for (int64_t i = 0; i < count * hidden_stride; ++i) hidden[i] = softplus(hidden[i]);
    for (int64_t i = 0; i < count; ++i)
      raw_sigma_[rows_[start + i]] = dot(hidden + i * hidden_stride, decoder_.w1, hidden_stride) + in_.b1[0];
  }

  // Marks the slots of samples whose colour or density changes their pixel, and moves what is known of them to the front.
  void keep_those_that_are_felt() {
    const int64_t hidden_stride = decoder_.hidden_stride, feature_stride = decoder_.feature_stride;
    for (int64_t r = 0; r < rays_; ++r) {
      float total_depth = 0;
      const float opacity = weigh(r, &total_depth);
      const float unfelt = opacity > 0 && opacity < 1 ? kUnfelt * opacity : kUnfelt;  // depth is a mean over what is met
      bool before = false;  // whether the density of the interval before the sample is felt
      for (int64_t k = 0; k < samples_; ++k) {
        const bool after = k < samples_ - 1 && !(transmittance_[k] * density_reach(k) <= unfelt);  // NaN is
        counts_[slots_[sorted_rows_[k]]] = before || after || !(row_weights_[k] <= unfelt);
        before = after;
      }
    }
    int64_t count = 0;
    for (int64_t slot = 0; slot < decoded_; ++slot) {
      const int64_t row = rows_[slot];
      slots_[row] = counts_[slot] ? count : -1;
      if (!counts_[slot]) continue;
      if (count < slot) {
        rows_[count] = row;
        std::copy_n(hidden_ + slot * hidden_stride, hidden_stride, hidden_ + count * hidden_stride);
        std::copy_n(before_softplus_ + slot * hidden_stride, hidden_stride, before_softplus_ + count * hidden_stride);
        std::copy_n(features_ + slot * feature_stride, feature_stride, features_ + count * feature_stride);
        std::copy_n(&footprints_[3 * slot], 3, &footprints_[3 * count]);
      }
      ++count;
    }
    decoded_ = count;
  }

  // How far the raw densities beside interval k of the sorted samples change the light that passes it.
  float density_reach(int64_t k) const {
    return (sorted_depths_[k + 1] - sorted_depths_[k]) * sigmoid((sorted_raw_sigma_[k] + sorted_raw_sigma_[k + 1]) / 2 - 1);
  }

  // Colours of the samples in block_rows_. Their hidden layers move to the front, where they lie together.
  void color_those_that_count() {
    const int64_t stride = decoder_.hidden_stride;
    for (int64_t slot = 0; slot < decoded_; ++slot) counts_[slot] = 0;
    for (int64_t k = 0; k < rays_ * samples_; ++k)
      if (block_rows_[k] >= 0) counts_[slots_[block_rows_[k]]] = 1;
    int64_t count = 0;
    for (int64_t slot = 0; slot < decoded_; ++slot) {
      if (!counts_[slot]) continue;
      if (count < slot) std::copy_n(hidden_ + slot * stride, stride, hidden_ + count * stride);
      slots_[rows_[slot]] = count++;
    }
    color(count);
  }

  // Colours of the hidden layers in the first `count` slots.
  void color(int64_t count) {
    matmul({hidden_, decoder_.hidden_stride, 1}, count, in_.hidden, decoder_.color_transposed, decoder_.color_stride,
           decoder_.color_stride, decoder_.color_bias, 0, colors_, decoder_.color_stride);
    float* color = colors_;
#pragma omp simd
    for (int64_t i = 0; i < count * decoder_.color_stride; ++i) color[i] = sigmoid(color[i]);
  }

  // Depths of ray r's fine samples, ascending.
  void place_fine_samples(int64_t r) {
    const float *coarse = depths_ + r * in_.coarse, *u = in_.u + (first_ray_ + r) * in_.fine;
    float *fine = depths_ + rays_ * in_.coarse + r * in_.fine, *cdf = scratch_;
    composite_weights(in_.coarse, coarse, raw_sigma_ + r * in_.coarse, passing_, transmittance_, weights_);
    importance_cdf(in_.coarse, weights_, cdf);
    for (int64_t i = 0; i < in_.fine; ++i) fine[i] = importance_depth(in_.coarse, coarse, cdf, u[i]);
    sort(in_.fine, fine);
  }

  // Sorts ray r's samples and computes their weights; returns the opacity and the weighted sum of depths, these
  // counted from the first sample.
  float weigh(int64_t r, float* total_depth) {
    int64_t coarse = r * in_.coarse, fine = rays_ * in_.coarse + r * in_.fine;
    const int64_t coarse_end = coarse + in_.coarse, fine_end = fine + in_.fine;
    for (int64_t k = 0; k < samples_; ++k) {
      const bool take_coarse = fine == fine_end || (coarse < coarse_end && depths_[coarse] <= depths_[fine]);
      const int64_t row = take_coarse ? coarse++ : fine++;
      sorted_rows_[k] = row;
      sorted_depths_[k] = depths_[row];
      sorted_raw_sigma_[k] = raw_sigma_[row];
    }
    composite_weights(samples_, sorted_depths_, sorted_raw_sigma_, passing_, transmittance_, weights_);
    float opacity = 0, depth = 0;
    for (int64_t k = 0; k < samples_ - 1; ++k) {
      opacity += weights_[k];
      depth += weights_[k] * middle_from_first(sorted_depths_, k);
    }
    row_weights_[0] = weights_[0] / 2;
    for (int64_t k = 1; k < samples_ - 1; ++k) row_weights_[k] = (weights_[k - 1] + weights_[k]) / 2;
    row_weights_[samples_ - 1] = weights_[samples_ - 2] / 2;
    *total_depth = depth;
    return opacity;
  }

  // grad_out_ of ray r's samples: raw density, then the colours before their sigmoid.
  void composite_backward(int64_t r, const float* grad_features, float grad_depth, float grad_opacity) {
    const int64_t colors = in_.outputs - 1;
    float total_depth = 0, grad_sum = 0;
    const float opacity = weigh(r, &total_depth);
    for (int64_t c = 0; c < colors; ++c) grad_sum += 2 * grad_features[c];
    if (in_.white_back) grad_opacity -= grad_sum;
    float* grad_row_weights = scratch_;
    for (int64_t k = 0; k < samples_; ++k) {
      const int64_t slot = slots_[sorted_rows_[k]];
      grad_row_weights[k] = 0;
      if (slot < 0) continue;
      const float* color = colors_ + slot * decoder_.color_stride;
      float *grad = grad_out_ + slot * in_.outputs + 1, dot = 0;
      const float weight = row_weights_[k];
#pragma omp simd reduction(+ : dot)
      for (int64_t c = 0; c < colors; ++c) {
        const float grad_color = 2 * kColorScale * grad_features[c];
        dot += grad_color * color[c];
        grad[c] = grad_color * weight * color[c] * (1 - color[c]);
      }
      grad_row_weights[k] = dot + kColorShift * grad_sum;
    }
    const float depth = opacity == 0 ? 0 : total_depth / opacity, depth_slope = opacity == 0 ? 0 : grad_depth / opacity;
    float* grad_weights = row_weights_;
    for (int64_t k = 0; k < samples_ - 1; ++k) {
      const float from_mean = middle_from_first(sorted_depths_, k) - depth;
      grad_weights[k] = (grad_row_weights[k] + grad_row_weights[k + 1]) / 2 + depth_slope * from_mean + grad_opacity;
    }
    float* grad_raw_sigma = scratch_;
    composite_weights_backward(samples_, sorted_depths_, sorted_raw_sigma_, passing_, transmittance_, weights_,
                               grad_weights, grad_raw_sigma);
    for (int64_t k = 0; k < samples_; ++k)
      if (slots_[sorted_rows_[k]] >= 0) grad_out_[slots_[sorted_rows_[k]] * in_.outputs] = grad_raw_sigma[k];
  }

  static void add_rows(int64_t rows, const float* values, int64_t columns, float* sum) {
    for (int64_t i = 0; i < rows; ++i)
#pragma omp simd
      for (int64_t j = 0; j < columns; ++j) sum[j] += values[i * columns + j];
  }

  const RenderRaysInputs& in_;
  const Decoder& decoder_;
  const PlaneLayout layout_;
  const int64_t samples_, max_rays_;
  const float* planes_ = nullptr;
  int64_t first_ray_ = 0, rays_ = 0, decoded_ = 0;
  // Of every sample of the block:
  Buffer depths_;
  std::vector<Footprint> footprints_;                        // in the three planes
  Buffer features_, hidden_, raw_sigma_, colors_;            // colors_: the sigmoids
  std::vector<int64_t> rows_, slots_;                        // of each slot its row, of each row its slot or -1
  std::vector<char> counts_;                                 // of each slot
  Buffer visible_until_;                                     // of each ray: the depth behind which it is dark
  // Of the samples of all rays, ray by ray in order of depth; a row of -1 counts for nothing:
  std::vector<int64_t> block_rows_;
  Buffer block_weights_;
  Buffer before_softplus_, grad_out_, grad_hidden_, grad_features_;  // of each slot; the first of the hidden layer
  // Of the samples or intervals of one ray, in order of depth:
  std::vector<int64_t> sorted_rows_;
  Buffer sorted_depths_, sorted_raw_sigma_, passing_, transmittance_, weights_, row_weights_, scratch_;
};

// Calls finish(block) for all rays, densities done, in blocks that threads share out.
template <class Finish>
void for_each_block(const RenderRaysInputs& in, int64_t threads, const Finish& finish) {
  const Decoder decoder(in);
#pragma omp parallel num_threads(threads)
  {
    const NoDenormals no_denormals;
    Block block(in, decoder, false);
    const int64_t per_image = (in.rays + block.max_rays() - 1) / block.max_rays();
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < in.images * per_image; ++i) {
      const int64_t image = i / per_image, first = i % per_image * block.max_rays();
      block.shade(image, image * in.rays + first, std::min(block.max_rays(), in.rays - first), in.min_transmittance);
      finish(block);
    }
  }
}

// All results must be zero on entry; those of planes, decoder or rays may be null, and so may the directions alone.
// begin(block) makes the gradients of the block's samples. An image's rays are cut into parts, each of which sums into
// arrays of its own (the first part's are the results), and these are added in a fixed order: no races, and the same
// result whenever the number of threads is the same.
template <class Begin>
void all_backward(const RenderRaysInputs& in, int64_t threads, const Gradients& results, const Begin& begin) {
  const Decoder decoder(in);
  const int64_t parts = in.images % threads == 0 || in.images >= 4 * threads ? 1 : threads;
  const int64_t tasks = in.images * parts, image_size = 3 * in.height * in.width * in.channels;
  const int64_t w0_size = in.hidden * decoder.feature_stride, b0_size = decoder.hidden_stride;
  const int64_t w1_size = in.outputs * decoder.hidden_stride, b1_size = padded(in.outputs);
  const int64_t mlp_size = w0_size + b0_size + w1_size + b1_size;
  const Buffer more_planes(results.planes ? (tasks - in.images) * image_size : 0);
  const Buffer mlp(results.w0 ? tasks * mlp_size : 0);
#pragma omp parallel num_threads(threads)
  {
    const NoDenormals no_denormals;
    Block block(in, decoder, true);
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < tasks; ++task) {
      const int64_t image = task / parts, part = task % parts;
      Gradients to{};
      to.origins = results.origins;
      to.directions = results.directions;
      if (results.planes) {
        const int64_t extra = image * (parts - 1) + part - 1;
        to.planes = part == 0 ? results.planes + image * image_size : more_planes + extra * image_size;
      }
      if (results.w0) {
        to.w0 = mlp + task * mlp_size;
        to.b0 = to.w0 + w0_size;
        to.w1 = to.b0 + b0_size;
        to.b1 = to.w1 + w1_size;
      }
      const int64_t end = image * in.rays + in.rays * (part + 1) / parts;
      for (int64_t ray = image * in.rays + in.rays * part / parts; ray < end; ray += block.max_rays()) {
        block.shade(image, ray, std::min(block.max_rays(), end - ray), 0);
        begin(block);
        block.decoder_backward(to);
      }
    }
    if (results.planes && parts > 1) {
#pragma omp for schedule(static)
      for (int64_t i = 0; i < in.images * image_size; ++i) {
        const int64_t image = i / image_size, texel = i % image_size;
        for (int64_t part = 1; part < parts; ++part)
          results.planes[i] += more_planes[(image * (parts - 1) + part - 1) * image_size + texel];
      }
    }
  }
  if (!results.w0) return;
  for (int64_t task = 0; task < tasks; ++task) {
    const float *w0 = mlp + task * mlp_size, *b0 = w0 + w0_size, *w1 = b0 + b0_size, *b1 = w1 + w1_size;
    for (int64_t j = 0; j < in.hidden; ++j) {
      results.b0[j] += b0[j];
      for (int64_t c = 0; c < in.channels; ++c) results.w0[j * in.channels + c] += w0[j * decoder.feature_stride + c];
      for (int64_t k = 0; k < in.outputs; ++k) results.w1[k * in.hidden + j] += w1[k * decoder.hidden_stride + j];
    }
    for (int64_t k = 0; k < in.outputs; ++k) results.b1[k] += b1[k];
  }
}

}  // namespace

extern "C" {

void eg3d_render_rays(const RenderRaysInputs* in, float* features, float* depth, float* opacity, float* depth_min,
                      float* depth_max, int64_t threads) {
  for_each_block(*in, threads, [&](Block& block) {
    block.composite(in->min_transmittance, features, depth, opacity, depth_min, depth_max);
  });
}

void eg3d_render_rays_backward(const RenderRaysInputs* in, const float* grad_features, const float* grad_depth,
                               const float* grad_opacity, float* planes_grad, float* w0_grad, float* b0_grad,
                               float* w1_grad, float* b1_grad, float* origins_grad, float* directions_grad,
                               int64_t threads) {
  const Gradients results{planes_grad, w0_grad, b0_grad, w1_grad, b1_grad, origins_grad, directions_grad};
  all_backward(*in, threads, results,
               [&](Block& block) { block.composite_backward(grad_features, grad_depth, grad_opacity); });
}

void eg3d_query_points(const RenderRaysInputs* in, float* raw_sigma, float* rgb, int64_t threads) {
  for_each_block(*in, threads, [&](Block& block) { block.read(raw_sigma, rgb); });
}

void eg3d_query_points_backward(const RenderRaysInputs* in, const float* grad_raw_sigma, const float* grad_rgb,
                                float* planes_grad, float* w0_grad, float* b0_grad, float* w1_grad, float* b1_grad,
                                float* points_grad, int64_t threads) {
  const Gradients results{planes_grad, w0_grad, b0_grad, w1_grad, b1_grad, points_grad, nullptr};
  all_backward(*in, threads, results, [&](Block& block) { block.read_backward(grad_raw_sigma, grad_rgb); });
}
}
