"""The recipe: its schema, its YAML with the line of every key, and what is said of mistakes."""
