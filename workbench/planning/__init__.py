"""What a study will take, before anything starts: runs, ids, FLOPs, memory, GPUs."""
