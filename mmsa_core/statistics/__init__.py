"""How sure a number is: metrics of resampled samples, paired comparisons, corrections, effect sizes."""
