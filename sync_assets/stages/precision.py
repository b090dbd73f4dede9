"""Collections in a faster precision than float32 are begun only after a check of it passed."""

from sync_assets.embedding import Embedder
from sync_assets.errors import SettingsError
from sync_assets.ledger.model_checks import model_check
from sync_assets.services import Services


def refuse_unchecked(services: Services, embedder: Embedder) -> None:
    """A collection in the model's precision that is or was active stays in use, whatever a later check says.

    Raises:
        SettingsError: no collection of the model is or was active, and no check of its precision has passed.
    """
    fingerprint = embedder.fingerprint
    if fingerprint.precision != "bfloat16":
        return
    check = model_check(services.ledger, fingerprint.key)
    if check is not None and check.passed:
        return
    made = [one for one in services.ledger.every_collection() if one.model_fingerprint == fingerprint.key]
    if any(one.active or one.retired_at is not None for one in made):
        return
    found = "was never compared with float32 here"
    if check is not None:
        found = f"finds {check.overlap:.1%} of what float32 finds, at a mean cosine of {check.mean_cosine:.4f}"
    raise SettingsError(
        f"{fingerprint.name} in {fingerprint.precision} {found}.",
        f"Run `sync-assets models check {fingerprint.name}`, or set SYNC_ASSETS_MODEL_PRECISION=float32.",
    )
