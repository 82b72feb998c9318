"""Authors of a release, and what identifies them and it elsewhere: ORCID iDs, DOIs, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag

from deepbench.language.plain import show
from deepbench.language.specification import Specification, problem

_ORCID = re.compile(r"(\d{4}-){3}\d{3}[\dX]")
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>\\{}]+")
_URL = re.compile(r"https?://[^\s\"<>\\{}]+")

Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=r"^[^\n]*$"),
]


def _orcid(text: str) -> str:
    """Check an ORCID iD; its last character is that of ISO 7064, MOD 11-2, over the digits before it."""
    if not _ORCID.fullmatch(text):
        raise problem(f"must be an ORCID iD such as 0000-0002-1825-0097, not {show(text)}")
    total = 0
    for digit in text.replace("-", "")[:-1]:
        total = 2 * (total + int(digit))
    check = "0123456789X"[(12 - total % 11) % 11]
    if text[-1] != check:
        raise problem(f"is no ORCID iD: {show(text)} would end with {check}; look for a slip")
    return text


def _doi(text: str) -> str:
    """Check a DOI."""
    if not _DOI.fullmatch(text):
        raise problem(f"must be a DOI such as 10.5281/zenodo.1234567, not {show(text)}")
    return text


def _url(text: str) -> str:
    """Check a web address."""
    if not _URL.fullmatch(text):
        raise problem(f"must be a web address such as https://example.org/shapes, not {show(text)}")
    return text


Doi = Annotated[str, AfterValidator(_doi)]
Url = Annotated[str, AfterValidator(_url)]


class Author(Specification):
    """Person or organization that made a release.

    A person's name is written ``Family, Given``, or has an ORCID iD beside it; other names are printed as they stand.
    """

    name: Line = Field(description="name; of a person, as `Family, Given`")
    orcid: Annotated[str, AfterValidator(_orcid)] | None = Field(
        None, description="ORCID iD of a person, such as 0000-0002-1825-0097"
    )
    affiliation: Line | None = Field(None, description="where the author works")

    @property
    def is_person(self) -> bool:
        """Whether it is known to be a person."""
        return self.orcid is not None or ", " in self.name


def _form(data: Any) -> str:
    """Return which form of an author is written: a name alone, or a mapping."""
    return "author" if isinstance(data, Mapping | Author) else "name"


Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]

AnyAuthor = Annotated[
    Annotated[Words, Tag("name")] | Annotated[Author, Tag("author")], Discriminator(_form)
]


def credited(authors: Iterable[str | Author]) -> tuple[Author, ...]:
    """Return authors of which some are written as names alone; empty names are left out."""
    return tuple(
        each if isinstance(each, Author) else Author.model_construct(name=each)
        for each in authors
        if each
    )
