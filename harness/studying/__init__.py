"""The engine of studies: trials of cells, proposed by Optuna's samplers and kept in its storages."""
