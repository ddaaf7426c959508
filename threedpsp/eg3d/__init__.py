"""EG3D's generator, one implementation for every size."""
