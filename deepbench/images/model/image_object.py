"""The base of the specifications of all objects of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from deepbench.language.specification import Specification

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable


class ImageObject(Specification, ABC):
    """Base of the objects of images; subclasses add the parameters."""

    @abstractmethod
    def check(self, kind: str, table: ImageTable) -> None:
        """Refuse what a table cannot show.

        Parameters
        ----------
        kind : str
            Name of the object's kind, for messages.
        table : ImageTable
            The table that has the object; its own fields are valid already.

        Raises
        ------
        PydanticCustomError
            The message says what the user can change.
        """
