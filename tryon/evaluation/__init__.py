"""What the trained stages make, and how good it is: sampling, metrics, baselines, the report."""
