"""Core's own distillers, one file each; `pyproject.toml` declares them."""
