"""From a loaded corpus to batches: splits, sequences of any length, checks, targets."""
