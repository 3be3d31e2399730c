"""An ablation benchmarking harness for spatiotemporal prediction: plans, seeds, intervals, and reports from raw records."""

__version__ = "0.1.0"

REVISIONS = {"training": 2, "prediction": 1}
"""Revisions of what decides a number, by concern: raised when code changes it. A component and a metric have their own."""
