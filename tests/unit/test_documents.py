"""The two READMEs tell the same story, and a page that a page points at is there."""

import re
from pathlib import Path

import pytest

from internal.config.settings import KEYS
from internal.core.errors import ServiceError
from internal.infra.metrics import FAMILIES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The code blocks, each with its language and its lines without their comments."""
    return [
        (language, [re.sub(r"\s+# .*", "", line) for line in code.splitlines()])
        for language, code in FENCE.findall(text)
    ]


def headings(text: str) -> list[int]:
    """The levels of the headings, code left out."""
    return [len(marks) for marks in re.findall(r"^(#+) ", FENCE.sub("", text), re.MULTILINE)]


def rows(text: str) -> list[str]:
    """The first cells of the tables."""
    return re.findall(r"^\|(.*?)\|", text, re.MULTILINE)


def test_both_readmes_have_the_same_commands() -> None:
    assert len(commands(README)) > 3
    assert commands(CHINESE) == commands(README)


def test_both_readmes_have_the_same_headings_and_tables() -> None:
    assert len(headings(README)) > 3
    assert headings(CHINESE) == headings(README)
    assert len(rows(CHINESE)) == len(rows(README))
    assert rows(CHINESE)[1:] == rows(README)[1:]


def test_both_readmes_point_at_the_same_pages_and_at_each_other() -> None:
    def links(text: str) -> set[str]:
        return set(re.findall(r"\]\(([^)#]+)\)", text))

    assert links(README) - {"README.zh-CN.md"} == links(CHINESE) - {"README.md"}
    assert "README.zh-CN.md" in links(README)
    assert "README.md" in links(CHINESE)


def test_the_readme_opens_with_the_two_commands_and_the_three_of_nix() -> None:
    (_, first), (_, second) = commands(README)[:2]
    assert first == ["$ make serve", "$ make test"]
    assert second == ["$ nix build .#image", "$ nix develop", "$ nix flake check"]


def test_every_verb_that_the_readmes_name_is_one_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\$ make (\w+)", README))
    assert named >= {"serve", "test", "check", "fmt", "migrate", "bench"}
    assert named <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    """Words in the form of a key that begin like one of ours."""
    families = ("DB_", "REDIS_", "JWT_", "AES_", "LOG_", "RATE_", "METRICS_", "SNOWFLAKE_")
    named = {
        word
        for word in re.findall(r"\b[A-Z]+_[A-Z_]*[A-Z]\b", page.read_text())
        if word.startswith(families)
    }
    assert {word.removesuffix("_FILE") for word in named} <= set(KEYS)


def test_the_page_on_metrics_has_every_one_with_its_labels() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    table = page.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`.+?`) \| ([\w, ]*)\|", table, re.MULTILINE)
    told = {
        name: tuple(re.findall(r"\w+", labels))
        for names, labels in found
        for name in re.findall(r"`(\w+)`", names)
    }
    assert told == {name: family.labels for name, family in FAMILIES.items()}


def family(kind: type[ServiceError]) -> set[type[ServiceError]]:
    return {kind}.union(*(family(below) for below in kind.__subclasses__()))


def test_the_page_on_http_has_every_code_with_its_status() -> None:
    page = (ROOT / "docs" / "http.md").read_text()
    codes = {(str(kind.code), str(kind.status)) for kind in family(ServiceError) - {ServiceError}}
    table = set(re.findall(r"^\| (\d{5}) \| (\d{3})", page, re.MULTILINE))
    assert codes <= table
    assert {row for row in table if row[0] != "20000"} <= codes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_at_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []
