"""What the ways from a payload to a document share: reading it strictly, and telling a time.

What belongs here: what no source needs differently. Payloads of one system, and their models, are in its own module.
"""

from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class Payload(BaseModel):
    """Base of what is read from a payload: no value is turned into another type, and other keys are left alone."""

    model_config = ConfigDict(strict=True)


def read_payload(model: type[Model], payload: Any) -> Model:
    """A payload as its model.

    Raises:
        ValueError: it has another form; one line with the place and the reason, and no value.
    """
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in problem["loc"]) or "payload"
        raise ValueError(f"{place}: {problem['msg']}") from None


def utc_time(value: str | None, form: str) -> str:
    """A moment in UTC, in the form of `strftime`; empty where it can't be read."""
    try:
        return datetime.fromisoformat(value or "").astimezone(UTC).strftime(form)
    except (ValueError, OverflowError):
        return ""
