"""Where cells run: processes here, a Ray cluster, SLURM."""
