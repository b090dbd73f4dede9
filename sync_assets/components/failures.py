"""Our errors as Dagster shows them: one line with the remedy at the top of the failed step."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from sync_assets.errors import LimitError, SettingsError, SyncAssetsError
from sync_assets.runs import KIND


@contextmanager
def failures() -> Iterator[None]:
    """Turn `SyncAssetsError` into `dagster.Failure`; a wrong setting or a limit is not worth a retry."""
    try:
        yield
    except SyncAssetsError as error:
        worth_a_retry = not isinstance(error, (SettingsError, LimitError))
        raise dg.Failure(str(error), metadata={KIND: error.kind}, allow_retries=worth_a_retry) from error
