"""Markdown, CSV and LaTeX of a page and its tables."""
