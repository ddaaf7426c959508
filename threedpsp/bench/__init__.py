"""How fast we are, and how much memory we take, beside EG3D's published way: `python -m threedpsp.bench JOB`."""
