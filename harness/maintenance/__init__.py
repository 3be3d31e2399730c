"""Doctor and repair of a store."""
