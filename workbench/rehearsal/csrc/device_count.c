/* Preloaded into the process of a rehearsal, and into no other: lets autograd run the backward pass
   of fake CUDA tensors on a machine without a GPU. torch 2.15 asks these three functions of
   libc10_cuda how many devices there are, and starts one autograd thread for each of them. */
#include <stdbool.h>

static signed char devices = 0;

/* Call it once torch's fake tensor mode is on: the mode itself must find no device. */
void workbench_rehearse_devices(int count) { devices = (signed char)count; }

signed char _ZN3c104cuda12device_countEv(void) { return devices; }
signed char _ZN3c104cuda28device_count_ensure_non_zeroEv(void) { return devices ? devices : 1; }
bool _ZN3c104cuda17hasPrimaryContextEa(signed char device) {
  (void)device;
  return false;
}
