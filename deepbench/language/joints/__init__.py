"""Joint draws: several columns whose values belong together.

``joint`` is their base, ``registry`` has them by the names that recipes use.
"""
