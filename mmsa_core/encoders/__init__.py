"""Core's own encoders, one file each; `pyproject.toml` declares them."""
