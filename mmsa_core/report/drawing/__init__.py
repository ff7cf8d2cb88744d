"""Figures as pure functions of arrays; what they show is the sections' business."""
