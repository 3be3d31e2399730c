"""Records, checkpoints and identity."""
