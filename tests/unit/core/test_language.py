"""What the HTTP tests do not say of Accept-Language: no header makes it fail."""

from hypothesis import given
from hypothesis import strategies as st

from internal.core.language import preferred_language


@given(st.text())
def test_any_header_has_an_answer(header: str) -> None:
    assert preferred_language(header) in ("en", "zh")


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_higher_quality_wins_and_english_wins_a_tie(english: int, chinese: int) -> None:
    header = f"zh;q={chinese / 1000}, en;q={english / 1000}"
    expected = "zh" if chinese > english else "en"
    reordered = f"en;q={english / 1000},zh;q={chinese / 1000}"
    assert preferred_language(reordered) == expected
    assert chinese == english or preferred_language(header) == expected
