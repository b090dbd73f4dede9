"""Texts in requests: what no database can keep is refused before anything is asked."""

from typing import Annotated

from pydantic import AfterValidator


def clean(text: str) -> str:
    """The text, where a database can keep it."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("has characters that are none: NUL, or half of a surrogate pair")
    return text


Words = Annotated[str, AfterValidator(clean)]
