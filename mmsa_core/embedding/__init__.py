"""Representations that a trained student makes, and 2-D maps of them."""
