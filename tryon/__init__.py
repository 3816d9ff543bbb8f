"""Train and evaluate virtual try-on models from fashion photos and their annotations."""

__version__ = "0.1.0"
