"""Trackers: hooks that write runs for the dashboards that people have. One tracker, one file; reached by entry points alone."""
