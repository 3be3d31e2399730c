"""Plots and pictures, as SVG, PNG and GIF."""
