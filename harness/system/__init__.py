"""Whole files, locks, signals, devices, processes' environment, secrets."""
