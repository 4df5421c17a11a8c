"""Reasons as the page gets them: code, numbers, and the sentence in both languages."""

from functools import lru_cache
from typing import Any

from engine.values import Why
from engine.words import render

LANGUAGES = ("de", "en")


@lru_cache(maxsize=4096)
def sentence(why: Why, language: str, zone: str) -> str:
    """The sentence of `why` in `language`, times in the home's `zone`. Kept: Babel is slow."""
    return render(why, language, zone)


def why_view(why: Why | None, zone: str) -> dict[str, Any] | None:
    """A reason for `/status`: `code`, `numbers`, `de`, `en`."""
    if why is None:
        return None
    texts = {language: sentence(why, language, zone) for language in LANGUAGES}
    return {"code": why.code, "numbers": dict(why.numbers), **texts}
