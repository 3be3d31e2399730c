"""Executors beyond this machine's processes: Ray and SLURM."""
