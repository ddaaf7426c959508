// What lets the arithmetic headers compile for processors and graphics cards.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define EG3D_INLINE __host__ __device__ __forceinline__
#else
#define EG3D_INLINE inline
#endif

namespace eg3d {

// *to += value, where other threads of a graphics card may be adding too. On a processor, no other may.
EG3D_INLINE void add(float* to, float value) {
#ifdef __CUDA_ARCH__
  atomicAdd(to, value);
#else
  *to += value;
#endif
}

}  // namespace eg3d
