"""Results as files: videos, latents, contact sheets."""
