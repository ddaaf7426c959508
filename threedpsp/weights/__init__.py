"""Finds, reads and writes weights: safetensors with a JSON config in the metadata, nothing executable."""
