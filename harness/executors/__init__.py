"""Where cells run: processes on this machine, a Ray cluster, SLURM."""
