"""Who teaches whom: learned weights of (student, teacher) pairs, as tables and heat maps."""
