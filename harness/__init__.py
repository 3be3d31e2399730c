"""An ablation benchmarking harness for spatiotemporal prediction: plans, seeds, intervals, and reports from raw records."""

__version__ = "0.1.0"

NUMERICS = 2
"""Revision of everything that decides a number: model, data, training, metrics. Raised when any of them changes."""
