"""Processors: what each leaves of a part, and which parts it sees."""

from typing import Any

import pytest

from sync_assets.documents import Document, Part
from sync_assets.errors import SettingsError
from sync_assets.processors import ProcessorUse, processed


def document(*texts: str, role: str = "comment", **metadata: Any) -> Document:
    parts = [Part(path=f"part-{number}", role=role, text=text, metadata=metadata) for number, text in enumerate(texts)]
    return Document(tenant="acme", source="desk", stream="tickets", record_id="1", title="x", parts=parts)


def texts(found: Document, *uses: str) -> list[str]:
    return [part.text for part in processed(found, [ProcessorUse.parse(use) for use in uses]).parts]


def test_mail_addresses_are_masked_and_nothing_else() -> None:
    found = document("Mail ada.b+x@mail.example.co.uk, or @ada on chat; a@b is none.")
    assert texts(found, "any: mask_mail_addresses") == [
        "Mail [mail address], or @ada on chat; a@b is none.",
    ]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("4111 1111 1111 1111", "[card number]"),
        ("5500-0000-0000-0004 expired", "[card number] expired"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("serial 12345678901234567890123", "serial 12345678901234567890123"),
    ],
)
def test_card_numbers_are_known_by_their_check_digit(text: str, masked: str) -> None:
    assert texts(document(text), "comment: mask_card_numbers") == [masked]


def test_what_says_nothing_is_left_out() -> None:
    assert texts(document("+1", "ok, thanks!", "Restart the pump first."), "comment: drop_short_parts") == [
        "Restart the pump first."
    ]


def test_issue_keys_stand_in_the_metadata() -> None:
    found = document("See PUMP-12 and VENT-3, again PUMP-12.", "None here.")
    enriched = processed(found, [ProcessorUse.parse("comment: note_issue_keys")])
    assert [part.metadata for part in enriched.parts] == [{"issue_keys": ["PUMP-12", "VENT-3"]}, {}]


def test_a_processor_sees_its_kind_of_part_only() -> None:
    said, attached = document("a@b.example"), document("a@b.example", role="body", attachment="offer.pdf")
    both = said.model_copy(update={"parts": [*said.parts, *attached.parts]})
    assert texts(both, "attachment: mask_mail_addresses") == ["a@b.example", "[mail address]"]
    assert texts(both, "comment: mask_mail_addresses") == ["[mail address]", "a@b.example"]
    assert texts(both, "diff: mask_mail_addresses") == ["a@b.example", "a@b.example"]


def test_processors_run_in_their_order() -> None:
    found = document("call a@b.nl")
    assert texts(found, "any: drop_short_parts", "any: mask_mail_addresses") == []
    assert texts(found, "any: mask_mail_addresses", "any: drop_short_parts") == ["call [mail address]"]


def test_an_unknown_processor_is_named_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"'shout'.*mask_mail_addresses"):
        ProcessorUse.parse("any: shout")
