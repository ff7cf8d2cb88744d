"""CorrKD (Li et al., CVPR 2024, https://arxiv.org/abs/2404.16456) as components of mmsa."""
