"""Processors that mask what should not be found."""

import re

from sync_assets.documents import Document, Part

_MAIL_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_CARD_NUMBER = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")


def mask_mail_addresses(part: Part, document: Document) -> Part:
    """Put `[mail address]` in the place of every mail address."""
    return part.model_copy(update={"text": _MAIL_ADDRESS.sub("[mail address]", part.text)})


def mask_card_numbers(part: Part, document: Document) -> Part:
    """Put `[card number]` in the place of every number of 13 to 19 digits that is a card's by its check digit."""
    return part.model_copy(
        update={"text": _CARD_NUMBER.sub(lambda found: "[card number]" if _is_card(found[0]) else found[0], part.text)}
    )


def _is_card(text: str) -> bool:
    """By the algorithm of Luhn (ISO/IEC 7812-1, annex B)."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
