"""What a scraper reads."""


def figure(text: str, name: str, *labels: str) -> float:
    """The sum of the samples that have these labels."""
    lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in labels)
    )
