"""Training of the embedded model: data, losses, the loop, and the last step that makes weights files."""
