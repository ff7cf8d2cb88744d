"""Runs against a baseline on the same samples and masks."""
