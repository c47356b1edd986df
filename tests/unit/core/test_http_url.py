"""The one grammar of URLs that we send to."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.core.http_url import MAX_URL, URL_PATTERN, HttpUrl, InvalidUrl, parse_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://a.example", HttpUrl("https", "a.example", 443, "a.example", "/")),
        ("http://a.example?x", HttpUrl("http", "a.example", 80, "a.example", "/?x")),
        ("http://a_b:8080/c", HttpUrl("http", "a_b", 8080, "a_b:8080", "/c")),
        (
            "https://xn--fiq228c.example/%2f//x?q=a+b%20c&d",
            HttpUrl(
                *("https", "xn--fiq228c.example", 443, "xn--fiq228c.example"),
                "/%2f//x?q=a+b%20c&d",
            ),
        ),
        ("https://[2001:db8::1]:1/", HttpUrl("https", "2001:db8::1", 1, "[2001:db8::1]:1", "/")),
        ("https://0x7f.1:65535/", HttpUrl("https", "0x7f.1", 65535, "0x7f.1:65535", "/")),
    ],
)
def test_a_url_is_taken_apart(url: str, parts: HttpUrl) -> None:
    assert parse_url(url, require_https=False) == parts


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "a.example",
            "//a.example",
            "https://",
            "https:///x",
            "https:a.example",
            "https://:80",
        ),
        *("ftp://a.example", "file:///etc/passwd", "HTTPS://a.example", "gopher://a.example"),
        *("https://user@a.example", "https://user:password@a.example", "https://@a.example"),
        *("https://a.example#b", "https://a.example/#", "https://a.example\\@b.example"),
        *("https://a.example:0", "https://a.example:65536", "https://a.example:", "https://a:b"),
        *("https://a..example", "https://.a", "https://a.", "https://-a", f"https://{'a' * 64}"),
        *(
            " https://a.example",
            "https://a.example\n",
            "https://a.example/\r\nX: y",
            "https://a\tb",
        ),
        *(
            "https://a.example/é",
            "https://é.example",
            "https://a。example",
            "https://a.example/%zz",
        ),
        *(
            "https://[::1",
            "https://::1",
            "https://[::1]x",
            "https://[fe80::1%25eth0]",
            "https://[a]b",
        ),
        *("https://a.example/<x>", 'https://a.example/"', "https://a.example/{x}", "https://a%2eb"),
        f"https://a.example/{'a' * MAX_URL}",
    ],
)
def test_what_could_be_read_in_two_ways_is_none(url: str) -> None:
    with pytest.raises(InvalidUrl) as refused:
        parse_url(url, require_https=False)
    assert "example" not in str(refused.value)


def test_http_is_refused_where_https_is_required() -> None:
    with pytest.raises(InvalidUrl, match="https is required"):
        parse_url("http://a.example", require_https=True)
    assert parse_url("https://a.example", require_https=True).port == 443


@given(st.from_regex(URL_PATTERN, fullmatch=True))
def test_every_url_of_the_grammar_is_understood(url: str) -> None:
    if len(url) <= MAX_URL and not url.endswith("\n"):
        parts = parse_url(url, require_https=False)
        assert url.startswith(f"{parts.scheme}://{parts.authority}")
        assert url.endswith(parts.target.removeprefix("/"))
        assert re.fullmatch(r"[!-~]+", "".join(map(str, parts)))
