"""Calibration by availability: what is fitted on validation and added to answers."""
