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
