"""How sources vary: one module for each family, with its specification and its named row.

Beside it stand the family's kernels, in a module of the same name that ends in ``_kernels``. ``registry`` has all
families by the names that a recipe has for them; ``family`` is what they share, ``loops`` what their kernels share.
"""
