"""Training of encoders for a frozen generator: 3D-pSp, pSp, e4e, TriPlaneNet (`threedpsp train`)."""
