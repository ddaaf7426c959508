// Runs a step for each of so many indices: as a grid of threads on a graphics card; where no nvcc compiles this, as a loop
// over the blocks and threads of the same grid, by which tests on the host run the very code.
#pragma once

#include <algorithm>

#include "portable.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>
#endif

namespace eg3d {

constexpr int64_t kThreads = 128;  // of a block

// What one thread of the grid does.
template <class Step>
EG3D_INLINE void run_thread(const Step& step, int64_t count, int64_t block, int64_t thread) {
  const int64_t i = block * kThreads + thread;
  if (i < count) step(i);
}

#ifdef __CUDACC__

// The first error since it was last asked for; of this thread, as the functions are called and asked from one.
inline cudaError_t& first_error() {
  static thread_local cudaError_t error = cudaSuccess;
  return error;
}

inline void note(cudaError_t error) {
  if (first_error() == cudaSuccess) first_error() = error;
}

template <class Step>
__global__ void __launch_bounds__(kThreads) grid(const Step step, int64_t count) {
  run_thread(step, count, blockIdx.x, threadIdx.x);
}

inline cudaStream_t as_stream(int64_t stream) { return reinterpret_cast<cudaStream_t>(stream); }

template <class Step>
void launch(int64_t count, int64_t stream, const Step& step) {
  if (count <= 0 || first_error() != cudaSuccess) return;
  grid<<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, as_stream(stream)>>>(step, count);
  note(cudaGetLastError());
}

// Floats on the device, not initialised, in the order of the stream; null, with an error noted, where there is no room.
class Workspace {
 public:
  Workspace(int64_t size, int64_t stream) : stream_(as_stream(stream)) {
    if (size > 0) note(cudaMallocAsync(reinterpret_cast<void**>(&data_), size * sizeof(float), stream_));
  }
  ~Workspace() {
    if (data_) note(cudaFreeAsync(data_, stream_));
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  float* data() const { return data_; }

 private:
  const cudaStream_t stream_;
  float* data_ = nullptr;
};

#else

template <class Step>
void launch(int64_t count, int64_t, const Step& step) {
  for (int64_t block = (count + kThreads - 1) / kThreads - 1; block >= 0; --block)  // any order must do
    for (int64_t thread = 0; thread < kThreads; ++thread) run_thread(step, count, block, thread);
}

class Workspace {
 public:
  Workspace(int64_t size, int64_t) : data_(new float[size]) {
    std::fill_n(data_, size, NAN);  // nothing may be read before it is written
  }
  ~Workspace() { delete[] data_; }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  float* data() const { return data_; }

 private:
  float* data_;
};

#endif

struct Zero {
  float* to;
  EG3D_INLINE void operator()(int64_t i) const { to[i] = 0; }
};

// Sums over many are cut into slices of so many: each is added up by one thread, then to the result.
constexpr int64_t kSlice = 512;
constexpr int64_t slices(int64_t size) { return (size + kSlice - 1) / kSlice; }
EG3D_INLINE int64_t slice_end(int64_t slice, int64_t size) {
  return (slice + 1) * kSlice < size ? (slice + 1) * kSlice : size;
}

}  // namespace eg3d
