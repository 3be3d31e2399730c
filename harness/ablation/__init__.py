"""Plans of variants and seeds, and the run of a plan."""
