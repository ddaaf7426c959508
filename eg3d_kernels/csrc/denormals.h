// Numbers too small for a normal float are taken as 0 while an object of this class lives, in its thread alone: far
// below any tolerance, and processors compute with them up to a hundred times slower.
#pragma once
#include <cstdint>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace eg3d {

class NoDenormals {
 public:
  NoDenormals() : before_(control()) { set_control(before_ | kFlush); }
  ~NoDenormals() { set_control(before_); }
  NoDenormals(const NoDenormals&) = delete;
  NoDenormals& operator=(const NoDenormals&) = delete;

 private:
#if defined(__SSE__)
  using Control = unsigned;
  static constexpr Control kFlush = 0x8040;  // results and operands
  static Control control() { return _mm_getcsr(); }
  static void set_control(Control value) { _mm_setcsr(value); }
#elif defined(__aarch64__) && defined(__GNUC__)
  using Control = uint64_t;
  static constexpr Control kFlush = uint64_t{1} << 24;
  static Control control() {
    Control value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set_control(Control value) { asm volatile("msr fpcr, %0" ::"r"(value)); }
#else
  using Control = int;
  static constexpr Control kFlush = 0;
  static Control control() { return 0; }
  static void set_control(Control) {}
#endif

  const Control before_;
};

}  // namespace eg3d
