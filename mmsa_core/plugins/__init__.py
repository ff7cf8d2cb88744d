"""Distributions that bring components: what is installed, what is known, and how a new one begins."""
