"""Noise schedules, prediction targets, guidance and samplers, independent of any network."""
