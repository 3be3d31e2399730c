"""Studies: a search space and an objective each, found through the entry points `harness.studies`."""
