"""Core's own fusions, one file each; `pyproject.toml` declares them."""
