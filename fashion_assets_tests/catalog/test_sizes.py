"""Sizes as sellers write them, and as they are written here."""

import pytest

from fashion_assets.catalog.sizes import canonical_size


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("M", "m"),
        ("Men's Medium", "m"),
        ("X-Large", "xl"),
        ("2XL", "xxl"),
        ("One Size", "one size"),
        ("Taille unique", "one size"),
        ("O/S", "one size"),
        ("32x34", "w32 l34"),
        ("W32 L34", "w32 l34"),
        ("32X34", "w32 l34"),
        ("W28", "w28"),
        ('30"', "w30"),
        ("US 10.5", "us 10.5"),
        ("UK 9", "uk 9"),
        ("EU 43", "eu 43"),
        ("EUR 42,5", "eu 42.5"),
        ("7 US", "us 7"),
        ("AU 10", "au 10"),
        ("8.25", "8.25"),
        ("8½", "8.5"),
        ("54mm", "54 mm"),
        ("25L", "25 l"),
        ("26", "26"),
        ("Size L", "l"),
        ("Taille 38", "38"),
        ("M / 38 / 10", "m"),
        ("M/L", "m/l"),
        ("S-M", "s/m"),
        ("Small / S", "s"),
        ("X-L", "x-l"),
        ("\uff38\uff2c", "xl"),
        ("ONE-SIZE", "one size"),
        ("36/38", "36/38"),
        ("Petite", "petite"),
        ("34DD", "34dd"),
        ("  ", None),
    ],
)
def test_each_notation_has_one_way(said, meant):
    assert canonical_size(said) == meant


@pytest.mark.parametrize("said", ["M", "W32 L34", "US 10.5", "54mm", "One Size", "8½", "36/38"])
def test_what_is_canonical_stays_so(said):
    once = canonical_size(said)
    assert once is not None and canonical_size(once) == once
