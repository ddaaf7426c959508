"""Encoders, the inversion loop, and the refinement after it."""
