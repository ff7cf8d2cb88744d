"""Core's own datasets, one file each; `pyproject.toml` declares them."""
