"""Runs recorded ("golden") cases of the published networks against ours: `python -m tests.parity DIR`.

A case is one .safetensors file with its kind and settings in its metadata; what it holds decides what is compared.
Needs no pytest; the tests call `run.run_case`.
"""
