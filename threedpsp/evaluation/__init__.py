"""Measures a pipeline on photos by a stated protocol."""
