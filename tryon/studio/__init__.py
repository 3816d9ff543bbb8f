"""The rendered photo studio: people, garments, annotations, and the true answer of every try-on."""
