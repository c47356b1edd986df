import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Exchange, serving

pytestmark = pytest.mark.anyio

EN, ZH = "not found", "未找到"


@pytest.mark.parametrize(
    ("accepted", "message"),
    [
        (b"", EN),
        (b"zh", ZH),
        (b"zh-CN,zh;q=0.9,en;q=0.8", ZH),
        (b"ZH-Hant-TW", ZH),
        (b"en;q=0.2, zh;q=0.9", ZH),
        (b"zh;q=0.2, en;q=0.9", EN),
        (b"fr, de;q=0.9, zh;q=0.1", ZH),
        (b"zh;q=0", EN),
        (b"zh;q=0, en;q=0", EN),
        (b"*", EN),
        (b"fr", EN),
        (b"zhuang", EN),
        (b";;;,,,q=,zh;q=x", EN),
        (b"zh;q=nan", EN),
        (b"zh;q=-1", EN),
        (b"\xff\xfe\x00", EN),
        (b"," * 10_000, EN),
        (b"zh;q=1e400, en", ZH),
    ],
)
async def test_a_message_is_in_the_language_that_is_rated_higher(
    make_settings: MakeSettings, accepted: bytes, message: str
) -> None:
    async with serving(make_settings()) as served:
        exchange = await Exchange(headers=((b"accept-language", accepted),)).run(served.app)
        assert exchange.status == 404
        assert exchange.envelope["message"] == message


async def test_every_message_of_ours_is_chinese_for_those_who_ask(
    make_settings: MakeSettings,
) -> None:
    chinese = {"Accept-Language": "zh-CN"}
    async with serving(make_settings(), every_way()) as served:
        for method, path, message in (
            ("GET", "/nope", "未找到"),
            ("DELETE", "/ok", "不支持该请求方法"),
            ("GET", "/crash", "服务器内部错误"),
            ("GET", "/away/redis", "服务暂时不可用"),
            ("GET", "/conflict", "与现有数据冲突"),
            ("POST", "/accounts", "参数校验失败"),
        ):
            reply = await served.http.request(method, path, headers=chinese)
            assert reply.json()["message"] == message


async def test_field_errors_are_chinese_too(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        reply = await served.http.post(
            "/accounts",
            json={"name": "A", "age": 3, "nickname": "admin"},
            headers={"Accept-Language": "zh"},
        )
        assert [item["message"] for item in reply.json()["data"]] == [
            "至少 3 个字符",
            "应大于或等于 18",
            "无效的值",
        ]
