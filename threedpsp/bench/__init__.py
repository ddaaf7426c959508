"""How fast we are, and how much memory we take, beside the published way of doing the same.

Run it with `python -m threedpsp.bench` and the name of a job.
"""
