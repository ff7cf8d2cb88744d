"""Trained students under a protocol: conditions, answers, scores and tables."""
