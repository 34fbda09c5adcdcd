"""A run rehearsed on GPUs that are not there: the real trainer on fake CUDA tensors.

A fake tensor has a shape, a dtype and a device, and no numbers. `start.py` starts a process
(`program.py`) in which torch believes in one GPU, lets the product's own trainer step, validate,
ask its tasks, sample and save, and counts every operation on the way (`counting.py`).
"""
