// Which device runs, and what went wrong there.
#include "launch.h"

extern "C" {
#include "functions_cuda.h"

#ifdef __CUDACC__
void eg3d_set_device(int64_t device) { eg3d::note(cudaSetDevice(static_cast<int>(device))); }

const char* eg3d_take_error(void) {
  const cudaError_t error = eg3d::first_error();
  eg3d::first_error() = cudaSuccess;
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}
#else
void eg3d_set_device(int64_t) {}

const char* eg3d_take_error(void) { return nullptr; }
#endif
}
