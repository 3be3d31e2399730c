"""A plan while it runs, from what is in its store: a table on a terminal, a page that refreshes."""
