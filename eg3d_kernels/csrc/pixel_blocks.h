// Sums over the pixels of channels-last images: in blocks of a fixed size, added in a fixed order, so that the result is
// the same for any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace eg3d {

constexpr int64_t kBlockPixels = 512;

class BlockSums {
 public:
  // Of `pixels` pixels in each of `images` images; `columns` values each.
  BlockSums(int64_t images, int64_t pixels, int64_t columns)
      : pixels_(pixels),
        columns_(columns),
        per_image_((pixels + kBlockPixels - 1) / kBlockPixels),
        blocks_(images * per_image_),
        sums_(blocks_ * columns) {}

  int64_t blocks() const { return blocks_; }
  int64_t image(int64_t block) const { return block / per_image_; }
  int64_t first(int64_t block) const { return block % per_image_ * kBlockPixels; }
  int64_t end(int64_t block) const { return std::min(pixels_, first(block) + kBlockPixels); }
  float* of(int64_t block) { return sums_.data() + block * columns_; }

  // total[columns] of one image, or of all where image is -1.
  void add_up(int64_t image, float* total) const {
    std::vector<double> sum(columns_);
    const int64_t begin = image < 0 ? 0 : image * per_image_, end = image < 0 ? blocks_ : begin + per_image_;
    for (int64_t block = begin; block < end; ++block)
      for (int64_t c = 0; c < columns_; ++c) sum[c] += sums_[block * columns_ + c];
    for (int64_t c = 0; c < columns_; ++c) total[c] = static_cast<float>(sum[c]);
  }

 private:
  const int64_t pixels_, columns_, per_image_, blocks_;
  std::vector<float> sums_;
};

}  // namespace eg3d
