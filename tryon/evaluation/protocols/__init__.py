"""Named ways to score try-on pictures: how published numbers were computed, declared and followed to the digit."""
