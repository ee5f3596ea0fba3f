"""Prices are read by what their whole column proves, and never as another amount."""

from collections.abc import Iterable
from decimal import Decimal

import pytest
from babel import localedata
from babel.numbers import format_currency, get_currency_precision
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion_assets.catalog.rules import PRICE_AMBIGUOUS, PRICE_UNREADABLE
from fashion_assets.sources.prices import Notation, PriceColumn, ReadPrice, read_price


def notation(*texts: object) -> Notation:
    column = PriceColumn()
    for text in texts:
        column.add(text)
    return column.notation()


def alone(text: object) -> ReadPrice:
    """The text as the only one of its column."""
    return read_price(text, notation(text))


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("499", "499", None),
        ("19.90", "19.90", None),
        ("29,9", "29.9", None),
        ("1.199,00", "1199.00", None),
        ("1,199.00", "1199.00", None),
        ("1'199.00", "1199.00", None),
        ("1\u2019199.00", "1199.00", None),
        ("1 199,00 €", "1199.00", "EUR"),
        ("1\u00a0199,00\u00a0€", "1199.00", "EUR"),
        ("1\u202f199,00\u202f€", "1199.00", "EUR"),
        ("1 199", "1199", None),
        ("1,19,999.00", "119999.00", None),
        ("1,19,999", "119999", None),
        ("1.199.000", "1199000", None),
        ("¥7300", "7300", "JPY"),
        ("¥7,300", "7300", "JPY"),  # yen have no decimals
        ("kr 1.199,-", "1199", None),  # crowns of four countries
        ("₹899/-", "899", "INR"),
        ("₹1,299/- only", "1299", "INR"),
        ("₹1,299.50 /-", "1299.50", "INR"),
        ("KSh 1,500/=", "1500", "KES"),
        ("499:-", "499", None),
        ("1.199,\u2013", "1199", None),
        ("CHF 29.\u2014", "29", "CHF"),
        ("$299", "299", "USD"),
        ("US$40", "40", "USD"),
        ("A$40", "40", "AUD"),
        ("40 USD", "40", "USD"),
        ("$40 CAD", "40", "CAD"),
        ("EUR 19.99", "19.99", "EUR"),
        ("19.90 zł", "19.90", "PLN"),
        ("R$ 1.199,90", "1199.90", "BRL"),
        ("Rs.50", "50", None),
        ("£1,199", "1199", "GBP"),  # pounds have no decimal comma
        ("19,90 €*", "19.90", "EUR"),
        ("19.90*", "19.90", None),
        ("1.199,00 € inkl. 19% MwSt.", "1199.00", "EUR"),
        ("£20 (inc. VAT)", "20", "GBP"),
        ("19,90 € TTC", "19.90", "EUR"),
        ("$.75", "0.75", "USD"),
        ("0.125", "0.125", None),
        ("1234.567", "1234.567", None),
        ("\u0661\u066c\u0661\u0669\u0669\u066b\u0665\u0660", "1199.50", None),
        ("\u0967,\u0967\u096f\u096f.\u096b\u0966", "1199.50", None),
        ("\uff11\uff19\uff0c\uff19\uff10", "19.90", None),
        ("19.989999771118164", "19.99", None),
        ("19.990000000000002", "19.99", None),
        ("7300.0", "7300.0", None),
        ("Free", "0", None),
        ("0", "0", None),
        ("-5", "-5", None),
        ("\u22125,00", "-5.00", None),
        ("(5.00)", "-5.00", None),
        ("5.00-", "-5.00", None),
        (40, "40", None),
        (1.199, "1.199", None),  # a number is no notation
        (Decimal("19.90"), "19.90", None),
    ],
)
def test_texts_that_say_themselves_what_they_are(text: object, amount: str, currency: str | None) -> None:
    assert alone(text) == (amount, currency, None)


@pytest.mark.parametrize(
    "text",
    [
        "1e3", "1.5E+05", "10-20", "10 \u2013 20 €", "22,00 € 19,00 €", "29 34", "ab 22 €", "from $22", "22€50", "50%", "5k", "2 x 19.99",
        "19.99/kg", "19\u00b2", "19\u00bd", "1,2,3", "12,34,56", "1.19.99", "on request", True, float("nan"), "1" * 40,
    ],
)  # fmt: skip
def test_what_is_no_amount_or_several_is_refused(text: object) -> None:
    assert alone(text) == (None, None, PRICE_UNREADABLE)


def test_nothing_stated_is_no_problem() -> None:
    assert alone(None) == alone(" ") == (None, None, None)


@pytest.mark.parametrize(
    ("column", "amount"),
    [
        (["1.199", "29", "34", "39"], "1199"),
        (["1.199", "29,90", "34"], "1199"),
        (["1.199", "2.399.000"], "1199"),
        (["1,199", "29.90"], "1199"),
        (["1,199", "29", "34"], "1199"),
        (["1.199", "29,-"], "1199"),
        (["1.199", "0.125", "7.5"], "1.199"),
        (["1.199"], None),
        (["1.199", "2.499", "1.899"], None),
        (["1.199", "29.90"], None),  # never 1.20
        (["1,199", "29,90"], None),
        (["1.199", "29", "2399"], None),  # a thousand without a sign
        (["1.199", "29", "1,299"], None),
        (["1.199", "29.90", "29,90"], None),
        (["1.199", "19.989999771118164"], None),
        (["1.199 KWD", "29 KWD"], None),  # dinars have three decimals
        (["12.345 KWD", "1,234.567 KWD"], "12.345"),
        (["1.199 €"], None),
        (["1.199 ₫"], "1199"),  # dongs have none
    ],
)
def test_the_column_decides_about_three_digits(column: list[str], amount: str | None) -> None:
    read = read_price(column[0], notation(*column))
    assert read.amount == amount
    assert read.problem == (PRICE_AMBIGUOUS if amount is None else None)


def test_a_stated_sign_decides_too() -> None:
    assert read_price("1.199", Notation.stated(",")).amount == "1199"
    assert read_price("1.199", Notation.stated(".")).amount == "1.199"


def test_a_currency_the_column_agrees_on_holds_for_texts_without_one() -> None:
    assert read_price("20", notation("20", "€ 30", "40 EUR")).currency == "EUR"
    assert read_price("20", notation("20", "€ 30", "$40")).currency is None
    assert read_price("20", notation("20", "€ 30", "kr 40")).currency is None
    assert read_price("$20", notation("€ 30", "€ 40")).currency == "USD"


def test_columns_are_merged_and_kept() -> None:
    first, second = PriceColumn(), PriceColumn()
    first.add("1.199 €")
    second.add("29,90")
    first.merge(second)
    found = first.notation()
    assert found == notation("1.199 €", "29,90")
    assert Notation.from_dict(found.to_dict()) == found
    assert found.evidence == {"decimal,": 1, "open.": 1}
    assert found.in_words() == "decimal comma, point between thousands, EUR"


def test_more_of_the_same_decides_the_same() -> None:
    column = ["29,90", "1.199,00 €"]
    assert notation(*column).decisions == notation(*column * 3, "7,5").decisions


def _read(locale: str, currency: str, amounts: Iterable[int]) -> None:
    digits = get_currency_precision(currency)
    exact = [Decimal(amount).scaleb(-digits) for amount in amounts]
    texts = [format_currency(amount, currency, locale=locale, numbering_system="default") for amount in exact]
    found = notation(*texts)
    for amount, text in zip(exact, texts, strict=True):
        read = read_price(text, found)
        if read.amount is None:
            assert read.problem in (PRICE_AMBIGUOUS, PRICE_UNREADABLE), text
        else:
            assert Decimal(read.amount) == amount, text


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(localedata.locale_identifiers())),
    st.sampled_from(["EUR", "USD", "JPY", "KWD", "SEK", "INR", "PLN", "BRL", "CHF", "GBP", "TND", "CLP", "IDR", "PKR"]),
    st.sampled_from([1_000, 100_000, 10_000_000]).flatmap(
        lambda most: st.lists(st.integers(1, most * 100), min_size=50, max_size=50)
    ),
)  # fmt: skip
def test_amounts_as_any_place_writes_them_are_never_other_ones(
    locale: str, currency: str, amounts: list[int]
) -> None:
    _read(locale, currency, amounts)


@pytest.mark.parametrize(
    ("locale", "currency"),
    [("de_DE", "EUR"), ("fr_FR", "EUR"), ("en_IN", "INR"), ("de_CH", "CHF"), ("pl_PL", "PLN"), ("sv_SE", "SEK"), ("pt_BR", "BRL"),
     ("ja_JP", "JPY"), ("en_US", "USD"), ("es_ES", "EUR"), ("it_IT", "EUR"), ("cs_CZ", "CZK"), ("ar_EG", "EGP"), ("hi_IN", "INR")],
)  # fmt: skip
def test_amounts_as_the_large_markets_write_them_are_read(locale: str, currency: str) -> None:
    digits = get_currency_precision(currency)
    exact = [Decimal(n).scaleb(-digits) for n in (5, 1990, 2990, 119900, 119995, 1234567, 99999999)]
    texts = [format_currency(amount, currency, locale=locale, numbering_system="default") for amount in exact]
    found = notation(*texts)
    assert [Decimal(read_price(text, found).amount or -1) for text in texts] == exact
