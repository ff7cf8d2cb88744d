"""Masks as files, and those of published code."""
