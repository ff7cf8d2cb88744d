"""DMD (Li et al., CVPR 2023, https://arxiv.org/abs/2303.13802) as components of mmsa."""
