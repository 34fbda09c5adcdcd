/* A driver of one function: torch 2.15 looks it up before the backward pass. */
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
  (void)device;
  if (flags) *flags = 0;
  if (active) *active = 0;
  return 0;
}
