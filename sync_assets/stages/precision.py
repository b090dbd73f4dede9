"""Collections in a faster precision than float32 are begun only after a check of it passed."""

from sync_assets.embedding import Embedder
from sync_assets.errors import SettingsError
from sync_assets.ledger.model_checks import model_check
from sync_assets.services import Services


def refuse_unchecked(services: Services, embedder: Embedder) -> None:
    """Whatever collection there is in the model's precision stays in use, whatever a later check says.

    Raises:
        SettingsError: no collection was made with the model yet, and no check of its precision has passed.
    """
    fingerprint = embedder.fingerprint
    if fingerprint.precision != "bfloat16":
        return
    check = model_check(services.ledger, fingerprint.key)
    if check is not None and check.passed:
        return
    if any(known.model_fingerprint == fingerprint.key for known in services.ledger.every_collection()):
        return
    found = "was never compared with float32 here"
    if check is not None:
        found = f"finds {check.overlap:.1%} of what float32 finds, at a mean cosine of {check.mean_cosine:.4f}"
    raise SettingsError(
        f"{fingerprint.name} in {fingerprint.precision} {found}.",
        f"Run `sync-assets models check {fingerprint.name}`, or set SYNC_ASSETS_MODEL_PRECISION=float32.",
    )
