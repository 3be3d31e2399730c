"""Verdicts over results that others made: files of tables, which column is what, and the comparisons."""
