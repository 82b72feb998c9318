"""What tests of pages share: a parser that knows what is open."""

from html.parser import HTMLParser

import pytest

VOID = {"meta", "img", "br", "line", "circle", "polygon", "polyline"}


class Page(HTMLParser):
    """The elements of a page: what is open at each, and what has which attributes."""

    def __init__(self, text):
        super().__init__()
        self.found, self.words, self._open = [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="session")
def parse_page():
    """Return the parser of pages, which refuses elements that are not closed."""
    return Page
