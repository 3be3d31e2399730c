"""Variants: one idea, one folder each, found through the entry points `harness.variants`."""
