// What the library for graphics cards has besides the functions of functions_cpu.h. Those take arrays on the current device
// there, and the stream in the place of the number of threads; they return before the work is done.

// The device, by its number, on which this thread's next calls run.
void eg3d_set_device(int64_t device);
// What went wrong first since this was last asked in this thread; null where nothing did.
const char* eg3d_take_error(void);
