"""Metrics, baselines, predictors and cost."""
