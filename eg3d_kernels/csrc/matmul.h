// Products of small dense matrices that stay in cache: tiles of the result are kept in vector registers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace eg3d {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kTileRows = 12;
#elif defined(__AVX__)
constexpr int kLanes = 8, kTileRows = 6;
#else
constexpr int kLanes = 4, kTileRows = 6;
#endif
typedef float Lanes __attribute__((vector_size(4 * kLanes)));

constexpr int64_t padded(int64_t columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

inline Lanes load(const float* from) {
  Lanes lanes;
  memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

inline void store(float* to, Lanes lanes) { memcpy(to, &lanes, sizeof lanes); }

// Of two vectors whose size is a multiple of kLanes.
inline float dot(const float* a, const float* b, int64_t size) {
  Lanes sums = load(a) * load(b);
  for (int64_t i = kLanes; i < size; i += kLanes) sums += load(a + i) * load(b + i);
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += sums[i];
  return sum;
}

// A matrix read one number at a time, in any layout.
struct Strided {
  const float* data;
  int64_t row_stride, column_stride;
};

template <int ROWS, int VECTORS>
inline void matmul_tile(Strided a, int64_t depth, const float* b, int64_t b_stride, const float* start,
                        int64_t start_stride, float* result, int64_t result_stride) {
  Lanes sum[ROWS][VECTORS];
  for (int i = 0; i < ROWS; ++i)
    for (int v = 0; v < VECTORS; ++v) sum[i][v] = load(start + i * start_stride + v * kLanes);
  for (int64_t k = 0; k < depth; ++k) {
    Lanes row[VECTORS];
    for (int v = 0; v < VECTORS; ++v) row[v] = load(b + k * b_stride + v * kLanes);
    for (int i = 0; i < ROWS; ++i) {
      const float factor = a.data[i * a.row_stride + k * a.column_stride];
      for (int v = 0; v < VECTORS; ++v) sum[i][v] += factor * row[v];
    }
  }
  for (int i = 0; i < ROWS; ++i)
    for (int v = 0; v < VECTORS; ++v) store(result + i * result_stride + v * kLanes, sum[i][v]);
}

template <int VECTORS>
inline void matmul_columns(Strided a, int64_t rows, int64_t depth, const float* b, int64_t b_stride, const float* start,
                           int64_t start_stride, float* result, int64_t result_stride) {
  for (int64_t i = 0; i < rows;) {
    const Strided from{a.data + i * a.row_stride, a.row_stride, a.column_stride};
    const float* first = start + i * start_stride;
    float* to = result + i * result_stride;
    if (rows - i >= kTileRows) {
      matmul_tile<kTileRows, VECTORS>(from, depth, b, b_stride, first, start_stride, to, result_stride);
      i += kTileRows;
    } else if (rows - i >= 4) {
      matmul_tile<4, VECTORS>(from, depth, b, b_stride, first, start_stride, to, result_stride);
      i += 4;
    } else {
      matmul_tile<1, VECTORS>(from, depth, b, b_stride, first, start_stride, to, result_stride);
      i += 1;
    }
  }
}

// result[rows, columns] = start + a[rows, depth] b[depth, columns]. `columns` is a multiple of kLanes; a start_stride of
// 0 adds the same row (a bias) everywhere, and start may be the result itself.
inline void matmul(Strided a, int64_t rows, int64_t depth, const float* b, int64_t b_stride, int64_t columns,
                   const float* start, int64_t start_stride, float* result, int64_t result_stride) {
  int64_t j = 0;
  for (; j + 2 * kLanes <= columns; j += 2 * kLanes)
    matmul_columns<2>(a, rows, depth, b + j, b_stride, start + j, start_stride, result + j, result_stride);
  if (j < columns)
    matmul_columns<1>(a, rows, depth, b + j, b_stride, start + j, start_stride, result + j, result_stride);
}

}  // namespace eg3d
