import gzip

import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Exchange, serving

pytestmark = pytest.mark.anyio


async def get(make_settings: MakeSettings, path: str, accepted: bytes | None) -> Exchange:
    headers = [] if accepted is None else [(b"accept-encoding", accepted)]
    async with serving(make_settings(), every_way()) as served:
        return await Exchange(path=path, headers=headers).run(served.app)


@pytest.mark.parametrize(
    "accepted", [b"gzip", b"gzip, deflate, br", b"br;q=1.0, gzip;q=0.8", b"gzip;q=0.001"]
)
async def test_a_large_reply_is_compressed_for_who_accepts_it(
    make_settings: MakeSettings, accepted: bytes
) -> None:
    exchange = await get(make_settings, "/large", accepted)
    assert exchange.reply_headers["content-encoding"] == "gzip"
    assert exchange.reply_headers["vary"] == "Accept-Encoding"
    assert int(exchange.reply_headers["content-length"]) == len(exchange.content) < 1000
    assert b"x" * 5000 in gzip.decompress(exchange.content)


@pytest.mark.parametrize(
    "accepted",
    [None, b"", b"identity", b"br", b"gzip;q=0", b"gzip; q=0.0, br", b"GZIP ; Q=0", b"\xff"],
)
async def test_a_large_reply_is_left_alone_for_who_does_not(
    make_settings: MakeSettings, accepted: bytes | None
) -> None:
    exchange = await get(make_settings, "/large", accepted)
    assert "content-encoding" not in exchange.reply_headers
    assert b"x" * 5000 in exchange.content


@pytest.mark.parametrize("path", ["/ok", "/nope", "/crash"])
async def test_a_small_reply_is_left_alone(make_settings: MakeSettings, path: str) -> None:
    exchange = await get(make_settings, path, b"gzip")
    assert "content-encoding" not in exchange.reply_headers
    assert exchange.envelope["trace_id"]


async def test_a_stream_is_compressed_piece_by_piece(make_settings: MakeSettings) -> None:
    exchange = await get(make_settings, "/stream", b"gzip")
    assert len(exchange.sent) > 4
    assert gzip.decompress(exchange.content) == b"piece " * 4
