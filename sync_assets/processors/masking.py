"""Processors that mask what should not be found."""

import re

from sync_assets.processors import Mask

# Without the look-behind, each letter of a long word begins another search to its end.
_MAIL_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# Spaces that don't break a line among them.
_NUMBERS = re.compile(r"\d+(?:[ .\u00a0\u202f-]\d+)*")
_DIGITS = re.compile(r"\d+")
_SHORTEST_CARD, _LONGEST_CARD = 13, 19
# The first digit of a card of a bank or a shop; others are of airlines and of states.
_ISSUERS = "23456"


@Mask
def mask_mail_addresses(text: str) -> str:
    """Put `[mail address]` in the place of every mail address."""
    return _MAIL_ADDRESS.sub("[mail address]", text)


@Mask
def mask_card_numbers(text: str) -> str:
    """Put `[card number]` in the place of 13 to 19 digits that are a card's by their first digit and check digit.

    They may stand among other numbers ("4111 1111 1111 1111 12/28"), but begin and end where a group of digits does.
    """
    return _NUMBERS.sub(_without_cards, text)


def _without_cards(found: re.Match[str]) -> str:
    numbers, groups = found[0], list(_DIGITS.finditer(found[0]))
    kept: list[str] = []
    first = end = 0
    while first < len(groups):
        last = _end_of_card(groups, first)
        if last is not None:
            kept += [numbers[end : groups[first].start()], "[card number]"]
            end, first = groups[last].end(), last
        first += 1
    return "".join([*kept, numbers[end:]])


def _end_of_card(groups: list[re.Match[str]], first: int) -> int | None:
    """Position of the group that ends the longest card that begins with this one; None where none does."""
    digits, last = "", None
    for position, group in enumerate(groups[first : first + _LONGEST_CARD], first):
        digits += group[0]
        if len(digits) > _LONGEST_CARD:
            break
        if len(digits) >= _SHORTEST_CARD and _is_card(digits):
            last = position
    return last


def _is_card(text: str) -> bool:
    """By the algorithm of Luhn (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in text]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return str(digits[0]) in _ISSUERS and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
