"""docs/signing.md, as others read it."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "signing.md"


def fenced(language: str) -> str:
    """The one block of the page in this language, word for word."""
    (block,) = re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    text: str = block
    return text
