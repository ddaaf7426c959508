"""Just as much of ComfyUI as our nodes use, for tests without a server: schemas are kept, nothing is shown or moved.

What the real ComfyUI does with the nodes is tested in tests/comfyui.
"""
