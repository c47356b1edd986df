from pydantic import Field

from internal.schemas.shapes import Reply


class Alive(Reply):
    status: str = Field(default="alive", examples=["alive"])


class ReadinessReport(Reply):
    """Each part's name and `ok`, or what is wrong with it in a few words."""

    parts: dict[str, str] = Field(
        examples=[{"database": "ok", "redis": "ok", "server": "ok"}],
    )


class Version(Reply):
    version: str = Field(examples=["1.4.0"])
    revision: str = Field(
        description="git revision, if the build knew it",
        examples=["7af23cfe91064865ecf2e835da28b45b3c6f49fd"],
    )
    build: str = Field(
        description="hash of the Nix store path, if there is one",
        examples=["3kq0j6cmj1bpkxnp0yfz5xxxvyjzrcl9"],
    )
