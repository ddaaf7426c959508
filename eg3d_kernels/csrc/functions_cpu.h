// The functions that Python calls, in plain C: the compiler reads this, and so does cffi (eg3d_kernels/_backend.py).
// All arrays are contiguous; each function says at its definition what it takes. Those that end in _bf16, which only
// processors have, take images of bfloat16 where a pointer has no type, and compute in float.

void eg3d_bias_act(const float* x, const float* bias, const float* noise, float* out, int64_t n, int64_t pixels,
                   int64_t channels, int64_t noise_images, float slope, float gain, float clamp, int64_t threads);
void eg3d_bias_act_backward(const float* grad, const float* y, float* x_grad, float* bias_grad, float* noise_grad,
                            int64_t n, int64_t pixels, int64_t channels, float slope, float gain, float clamp,
                            int64_t threads);
void eg3d_bias_act_bf16(const void* x, const float* bias, const float* noise, void* out, int64_t n, int64_t pixels,
                        int64_t channels, int64_t noise_images, float slope, float gain, float clamp, int64_t threads);
void eg3d_bias_act_backward_bf16(const void* grad, const void* y, void* x_grad, float* bias_grad, float* noise_grad,
                                 int64_t n, int64_t pixels, int64_t channels, float slope, float gain, float clamp,
                                 int64_t threads);

void eg3d_modulate_weights(const float* weight, const float* styles, const int32_t* order, const int32_t* sizes,
                           float* out, int64_t outputs, int64_t inputs, int64_t taps, int64_t parts,
                           int64_t channels_last, int64_t demodulate, int64_t threads);
void eg3d_modulate_weights_bf16(const float* weight, const float* styles, const int32_t* order, const int32_t* sizes,
                                void* out, int64_t outputs, int64_t inputs, int64_t taps, int64_t parts,
                                int64_t channels_last, int64_t demodulate, int64_t threads);

// Shapes as in eg3d_kernels/render_rays.py; u may be null.
struct RenderRaysInputs {
  const float *planes, *w0, *b0, *w1, *b1, *origins, *directions, *depths, *u;
  int32_t axes[6];
  int64_t images, rays, height, width, channels, hidden, outputs, coarse, fine;
  float box_warp;
  int32_t white_back;
  float min_transmittance;
};
void eg3d_render_rays(const struct RenderRaysInputs* in, float* features, float* depth, float* opacity,
                      float* depth_min, float* depth_max, int64_t threads);
void eg3d_render_rays_backward(const struct RenderRaysInputs* in, const float* grad_features, const float* grad_depth,
                               const float* grad_opacity, float* planes_grad, float* w0_grad, float* b0_grad,
                               float* w1_grad, float* b1_grad, float* origins_grad, float* directions_grad,
                               int64_t threads);
// Points are the origins of rays with one coarse sample at depth 0.
void eg3d_query_points(const struct RenderRaysInputs* in, float* raw_sigma, float* rgb, int64_t threads);
void eg3d_query_points_backward(const struct RenderRaysInputs* in, const float* grad_raw_sigma, const float* grad_rgb,
                                float* planes_grad, float* w0_grad, float* b0_grad, float* w1_grad, float* b1_grad,
                                float* points_grad, int64_t threads);

void eg3d_sample_planes(const float* planes, const float* points, float* out, int64_t n, int64_t p, int64_t height,
                        int64_t width, int64_t channels, const int32_t* axes, int64_t threads);
void eg3d_sample_planes_grad_planes(const float* points, const float* grad, float* planes_grad, int64_t n, int64_t p,
                                    int64_t height, int64_t width, int64_t channels, const int32_t* axes,
                                    int64_t threads);
void eg3d_sample_planes_grad_points(const float* planes, const float* points, const float* grad, float* points_grad,
                                    int64_t n, int64_t p, int64_t height, int64_t width, int64_t channels,
                                    const int32_t* axes, int64_t threads);

void eg3d_scale_channels(const float* x, const float* scale, const float* other, float* out, float* dots, int64_t n,
                         int64_t pixels, int64_t channels, int64_t threads);

void eg3d_scale_channels_bf16(const void* x, const float* scale, const void* other, void* out, float* dots, int64_t n,
                              int64_t pixels, int64_t channels, int64_t threads);

void eg3d_upfirdn2d(const float* x, const float* taps, const float* scale, float* out, int64_t n, int64_t height,
                    int64_t width, int64_t channels, int64_t out_height, int64_t out_width, int64_t tap_count,
                    int64_t up, int64_t down, int64_t pad, int64_t threads);
void eg3d_upfirdn2d_bf16(const void* x, const float* taps, const float* scale, void* out, int64_t n, int64_t height,
                         int64_t width, int64_t channels, int64_t out_height, int64_t out_width, int64_t tap_count,
                         int64_t up, int64_t down, int64_t pad, int64_t threads);
void eg3d_blur_phases(const float* even_even, const float* even_odd, const float* odd_even, const float* odd_odd,
                      const float* taps, const float* scale, float* out, int64_t n, int64_t height, int64_t width,
                      int64_t channels, int64_t threads);
void eg3d_blur_phases_bf16(const void* even_even, const void* even_odd, const void* odd_even, const void* odd_odd,
                           const float* taps, const float* scale, void* out, int64_t n, int64_t height, int64_t width,
                           int64_t channels, int64_t threads);
