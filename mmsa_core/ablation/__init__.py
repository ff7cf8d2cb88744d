"""A recipe without one of its parts, trained and compared."""
