"""Processors: what each leaves of a part, and which parts it sees."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import pytest

import sync_assets.processors
from sync_assets import sources
from sync_assets.chunking import strategy_of
from sync_assets.documents import Document, Part
from sync_assets.errors import SettingsError
from sync_assets.processors import KINDS, ProcessorUse, processed


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
        ("4111 1111 1111 1111 12/28", "[card number] 12/28"),
        ("4111 1111 1111 1111 123", "[card number] 123"),
        ("order 12 4111 1111 1111 1111", "order 12 [card number]"),
        ("12 4111-1111-1111-1111 1 5500 0000 0000 0004.", "12 [card number] 1 [card number]."),
        ("4111.1111.1111.1111", "[card number]"),
        ("4111\u00a01111\u202f1111 1111", "[card number]"),
        ("on 2026-11-03 10:22 from 10.0.0.12", "on 2026-11-03 10:22 from 10.0.0.12"),
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


def test_masks_cover_the_title_and_the_metadata_too() -> None:
    mail, masked = "ada@b.example", "[mail address]"
    found = document(f"Ask {mail}", author=mail, tags=[mail, 7])
    found = found.model_copy(update={"title": f"Mail {mail}", "metadata": {"by": {"mail": mail}, "number": 12}})
    for kind in ("any", "header"):
        after = processed(found, [ProcessorUse.parse(f"{kind}: mask_mail_addresses")])
        assert (after.title, after.metadata) == (f"Mail {masked}", {"by": {"mail": masked}, "number": 12})
    after = processed(found, [ProcessorUse.parse("comment: mask_mail_addresses")])
    assert (after.title, after.metadata) == (found.title, found.metadata)
    assert [(part.text, part.metadata) for part in after.parts] == [
        (f"Ask {masked}", {"author": masked, "tags": [masked, 7]})
    ]


def test_only_masks_touch_the_title() -> None:
    found = document("long enough to be kept")
    after = processed(found, [ProcessorUse.parse("any: drop_short_parts"), ProcessorUse.parse("any: note_issue_keys")])
    assert after == found


def test_masking_takes_as_long_as_the_text_is() -> None:
    began = process_time()
    for text in ("a1" * 200_000, "1 " * 200_000, "a@" * 200_000):
        assert texts(document(text), "any: mask_mail_addresses", "any: mask_card_numbers")
    assert process_time() - began < 20


def test_an_unknown_processor_is_named_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"'shout'.*mask_mail_addresses"):
        ProcessorUse.parse("any: shout")


@pytest.mark.parametrize("use", ["comments: mask_mail_addresses", "mask_mail_addresses", ": mask_mail_addresses"])
def test_an_unknown_kind_is_named_with_those_that_are_known(use: str) -> None:
    with pytest.raises(SettingsError, match=rf"'{re.escape(use)}'.*Kinds are: .*comment, "):
        ProcessorUse.parse(use)


def test_every_role_that_a_source_gives_is_a_kind() -> None:
    folder = Path(next(iter(sources.__path__)))
    roles = {role for module in folder.glob("*.py") for role in roles_in(ast.parse(module.read_text()))}
    assert {"header", "comment", "diff"} <= roles <= KINDS
    assert strategy_of(Part(path="x", role="message", text="x")).name.startswith("conversation")


def roles_in(module: ast.Module) -> Iterator[str]:
    """What stands for a `role` where the module makes a part or calls a function of its own."""
    places = {
        function.name: [argument.arg for argument in function.args.args].index("role")
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef) and any(argument.arg == "role" for argument in function.args.args)
    }
    for call in ast.walk(module):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"Part", *places}:
            given = [keyword.value for keyword in call.keywords if keyword.arg == "role"]
            given += call.args[places[call.func.id] :][:1] if call.func.id in places else []
            yield from (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str))


def breaks(part: Part, document: Document) -> Part:
    return part.model_copy(update={"text": {}[part.text]})


def complains(part: Part, document: Document) -> Part:
    raise ValueError("no language found")


@pytest.mark.parametrize(
    ("processor", "reason"),
    [
        (breaks, "The processor shout failed: KeyError"),
        (complains, "The processor shout failed: no language found"),
    ],
)
def test_a_processor_that_fails_is_named_and_quotes_nothing(
    processor: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_assets.processors, "_processor", lambda name: processor)
    with pytest.raises(ValueError, match="shout") as caught:
        processed(document("secret"), [ProcessorUse("any", "shout")])
    assert str(caught.value) == reason
