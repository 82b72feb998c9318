"""Tables of images.

``model`` says what a recipe may hold; ``shapes``, ``stars``, ``galaxies``, ``psf`` and ``detector`` are the rooms of
what is drawn. ``render`` goes from labels to images, through the rows that ``rows`` puts in order, and ``measure``
looks at the objects on the image without noise.
"""
