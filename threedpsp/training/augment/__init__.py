"""People who do not exist: new faces from those of a `PortraitSet`, with the camera, mesh and mask that belong to them.

`make` makes them ahead and writes a bundle like that of the photos: morphs, shapes, backdrops, glasses (`person`).
`photometric` changes light, colour and sharpness of a batch while training.
"""
