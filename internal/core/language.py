"""Which of the service's two languages a client prefers (RFC 9110 §12.5.4)."""

from typing import Literal

type Language = Literal["en", "zh"]


def preferred_language(accept_language: str) -> Language:
    """The better rated of English and Chinese; English when neither is named or on a tie.

    Args:
        accept_language: the header as it came; what cannot be read counts as absent.
    """
    best: Language = "en"
    best_quality = 0.0
    for part in accept_language.split(","):
        tag, _, parameters = part.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary not in ("en", "zh"):
            continue
        quality = _quality(parameters)
        if quality > best_quality:
            best, best_quality = ("zh" if primary == "zh" else "en"), quality
    return best


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
