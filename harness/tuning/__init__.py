"""Studies: the engine on Optuna."""
