"""Readers of photo folders and annotations, and the manifest."""
