"""Metrics, baselines, views and cost."""
