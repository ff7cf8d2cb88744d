"""Core's own maskers, one file each; `pyproject.toml` declares them."""
