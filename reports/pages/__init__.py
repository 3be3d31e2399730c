"""The page: its tables, sentences and sections, and how it is written into a folder."""
