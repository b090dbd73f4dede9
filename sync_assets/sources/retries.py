"""Another attempt after a failure that may pass, told in the log."""

import logging

import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

_log = logging.getLogger(__name__)


def retrying(attempts: int, timeout: float, wait_max: float, wait_initial: float = 0.1) -> stamina.RetryingCaller:
    """Calls a function up to `attempts` times within `timeout` seconds, with growing pauses of at most `wait_max`."""
    return stamina.RetryingCaller(
        attempts=attempts, timeout=timeout, wait_initial=wait_initial, wait_max=wait_max, wait_jitter=1.0
    )


def _log_retry(details: RetryDetails) -> None:
    _log.warning("%s; attempt %d in %.1f s", details.caused_by, details.retry_num + 1, details.wait_for)


# By itself stamina would write to stdout where structlog is installed.
set_on_retry_hooks([_log_retry])
