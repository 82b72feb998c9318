"""The tree of an open release, whose root says where variables are."""

from __future__ import annotations

from typing import Any

import xarray as xr


class ReleaseTree(xr.DataTree):
    """A tree with one node per table; its root has no variables, and says so to those who ask it for one."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        """Return a table, or what a path leads to.

        Raises
        ------
        KeyError
            There is none; the message names the tables, and the one that has such a variable.
        """
        try:
            return super().__getitem__(key)
        except KeyError:
            if not self.children:
                raise
            inside = [name for name, table in self.children.items() if key in table.variables]
            hint = f"write [{inside[0]!r}][{key!r}]; " if inside else ""
            message = f"a release has tables, no {key!r}; {hint}tables: {', '.join(self.children)}"
            raise KeyError(message) from None
