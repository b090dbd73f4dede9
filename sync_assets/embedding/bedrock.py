"""Amazon's Titan text embedding models on Bedrock, through boto3.

What belongs here: the models, their requests, answers and errors
(docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html). Credentials, proxies and other
endpoints (`AWS_ENDPOINT_URL_BEDROCK_RUNTIME`) are boto3's affair.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from sync_assets.embedding import ModelOptions
from sync_assets.embedding.hosted import HostedEmbedder, HostedModel, Passing
from sync_assets.errors import EmbeddingError

# Both read 8,192 tokens or 50,000 characters; there is one text in a request.
MODELS = {
    "amazon.titan-embed-text-v2:0": HostedModel((1024, 512, 256), 8_192),
    "amazon.titan-embed-text-v1": HostedModel((1536,), 8_192),
}

_TIMEOUT = 60.0
PASSING = frozenset(
    {
        "ThrottlingException",
        "TooManyRequestsException",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "InternalServerException",
        "ServiceUnavailableException",
    }
)
NO_RIGHTS = frozenset(
    {
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
    }
)


OPEN_REMEDY = "Set SYNC_ASSETS_BEDROCK_REGION, and AWS's variables to what they should be."


class NotOpened(Exception):
    """boto3 makes no client with these settings; names the kind of its error alone."""


class TitanEmbedder(HostedEmbedder):
    """One Titan model. It makes no difference between documents and questions.

    Args:
        name: such as `amazon.titan-embed-text-v2:0`, with `@512` or `@256` for shorter vectors.
    """

    def __init__(self, name: str, options: ModelOptions) -> None:
        super().__init__("Bedrock", name, MODELS, options.requests_per_minute)
        self._region = options.bedrock_region

    def _embed(self, texts: Sequence[str], lengths: Sequence[int]) -> np.ndarray:
        return _matrix(self._map(self._invoke, texts))

    def _embed_query(self, text: str) -> np.ndarray:
        return _matrix([self._asked(self._invoke, text)])

    @property
    def _address(self) -> str:
        return self._runtime.meta.endpoint_url

    def _names(self) -> list[str]:
        """The account's models that embed texts; those that are known here where it does not tell."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            listed = self._client("bedrock").list_foundation_models(byOutputModality="EMBEDDING")
        except (BotoCoreError, ClientError):
            return list(self._models)
        names = {row["modelId"] for row in listed["modelSummaries"] if "TEXT" in row.get("inputModalities", ())}
        return sorted(name for name in names if name.startswith("amazon.titan-embed-text")) or list(self._models)

    def _invoke(self, text: str) -> list[float]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        body: dict[str, Any] = {"inputText": text}
        if self.model != "amazon.titan-embed-text-v1":
            body |= {"dimensions": self.fingerprint.dimension, "normalize": True}
        try:
            reply = self._runtime.invoke_model(
                modelId=self.model, body=json.dumps(body), contentType="application/json", accept="application/json"
            )
            answer = json.loads(reply["body"].read())
            self._bill(int(answer["inputTextTokenCount"]))
            return [float(number) for number in answer["embedding"]]
        except ClientError as error:
            raise self._refusal(error.response) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise EmbeddingError(
                "Bedrock has no credentials.", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a role."
            ) from None
        except BotoCoreError as error:
            raise Passing(f"connection failed ({type(error).__name__})") from None
        except (ValueError, LookupError, TypeError):
            raise Passing("the answer is not what was asked for") from None

    def _refusal(self, response: Any) -> Exception:
        code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
        message = response["Error"].get("Message", "")
        if code in PASSING or status >= 500:
            return Passing(code)
        if code in NO_RIGHTS:
            return EmbeddingError(
                f"Bedrock refused the credentials for {self.model} ({code}).",
                "They need bedrock:InvokeModel, and the account access to the model in this region.",
            )
        if code == "ResourceNotFoundException" or "model identifier is invalid" in message:
            return self._unknown()
        if "input token" in message or "maxLength" in message:
            return EmbeddingError(
                f"Bedrock refused a text that is too long for {self.model}.", "Set a lower chunk_tokens in defs.yaml."
            )
        return EmbeddingError(f"Bedrock refused the request for {self.model} ({code}).")

    @cached_property
    def _runtime(self) -> Any:
        return self._client("bedrock-runtime")

    def _client(self, service: str) -> Any:
        try:
            return aws_client(service, self._region, self._limits.max_concurrent_requests)
        except NotOpened as error:
            raise EmbeddingError(f"{self.model} can't be opened: {error}.", OPEN_REMEDY) from None


def aws_client(service: str, region: str | None, connections: int) -> Any:
    """A client of boto3. Attempts are counted and told in one place for all vendors, so it makes one.

    Args:
        connections: most at a time.

    Raises:
        NotOpened: no region is named, or AWS's own variables are wrong.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={"total_max_attempts": 1}, read_timeout=_TIMEOUT, connect_timeout=10, max_pool_connections=connections
    )
    try:
        return boto3.Session(region_name=region).client(service, config=config)
    except (BotoCoreError, ValueError) as error:
        raise NotOpened(type(error).__name__) from None


def has_credentials() -> bool:
    """Whether boto3 finds any, good or bad; asks no machine's metadata service."""
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        providers = botocore.session.Session().get_component("credential_provider")
        providers.remove("iam-role")
        return providers.load_credentials() is not None
    except BotoCoreError:
        return False


def _matrix(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Vectors as rows; vectors of different lengths are an error of the model."""
    if len({len(row) for row in rows}) != 1:
        raise EmbeddingError("Bedrock gave vectors of different lengths.")
    return np.array(rows, dtype=np.float64)
