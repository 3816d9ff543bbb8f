"""TryOnDiffusion: the Parallel-UNet cascade (Zhu et al. 2023, arXiv 2306.08276)."""
