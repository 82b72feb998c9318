from __future__ import annotations

import pytest

from deepbench.language.inputs import fits


def unit(*cards, data=b""):
    """Return a header with these cards and the data behind it, in whole blocks."""
    header = "".join(f"{card:<80}" for card in (*cards, "END")).encode()
    return b"".join(part.ljust(-(-len(part) // 2880) * 2880, b"\0") for part in (header, data))


PRIMARY = ("SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 0")


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (("GCOUNT  = -2", "PCOUNT  = 0"), "its GCOUNT is -2, its PCOUNT 0; neither is negative"),
        (("GCOUNT  = 1", "PCOUNT  = -8640"), "its GCOUNT is 1, its PCOUNT -8640; neither is"),
        (("GCOUNT  = -1", "PCOUNT  = -8640"), "its GCOUNT is -1, its PCOUNT -8640; neither is"),
    ],
)
def test_negative_counts_do_not_lead_back(cards, message):
    """The data would end before they begin, and the same header would be read for ever."""
    extension = ("XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 2880", *cards)
    content = unit(*PRIMARY) + unit(*extension, data=bytes(2880))
    with pytest.raises(ValueError, match=message):
        fits.read_image(content, 4096)


def test_a_header_has_an_end():
    endless = b"A       = 1".ljust(80) * 36 * 1001
    with pytest.raises(ValueError, match="a header is longer than 2,880,000 bytes"):
        fits.read_image(b"SIMPLE  =".ljust(2880) + endless, 4096)


def test_numbers_beyond_the_range_are_left_to_the_reader():
    cards = ("BITPIX  = -64", "NAXIS   = 2", "NAXIS1  = 1", "NAXIS2  = 1", "BSCALE  = 1E308")
    content = unit(PRIMARY[0], *cards, data=b"\x7f\xe0" + bytes(6))
    assert fits.read_image(content, 4096).physical().tolist() == [[float("inf")]]
