"""Reports: tables, plots and pages rebuilt from raw records, found through the entry points `harness.reports`."""
