"""Lists of words as a reader wants to see them: a block of text."""


def listed(words: str) -> frozenset[str]:
    """The words of a block of text."""
    return frozenset(words.split())
