"""Language models on Amazon Bedrock, through boto3 and the Converse API, which is the same for every vendor's models.

What belongs here: its requests, answers and errors
(docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html). Credentials, proxies and other endpoints
are boto3's affair.
"""

from functools import cached_property
from typing import Any

from sync_assets.embedding.bedrock import NO_RIGHTS, OPEN_REMEDY, PASSING, NotOpened, aws_client
from sync_assets.embedding.hosted import Passing
from sync_assets.enrichment import EnrichmentError, ExtractorUnreachable
from sync_assets.enrichment.chat import AT_ONCE, Answer, Chat
from sync_assets.errors import SettingsError

# The model failed while it answered; another attempt may succeed.
_FAILED = "ModelErrorException"


class BedrockChat(Chat):
    """A model on Bedrock.

    Args:
        model: its id, or that of an inference profile, such as `eu.amazon.nova-lite-v1:0`.
        region: None for what AWS's own variables say.

    Raises:
        SettingsError: no region is named, or AWS's variables are wrong.
    """

    setting = "SYNC_ASSETS_BEDROCK_REGION"
    remedy = "Check the model's name and SYNC_ASSETS_BEDROCK_REGION, and whether Bedrock is reached from here."

    def __init__(self, model: str, region: str | None, requests_per_minute: int | None = None) -> None:
        super().__init__("Bedrock", model, requests_per_minute)
        self._region = region
        try:
            self._runtime = aws_client("bedrock-runtime", region, AT_ONCE)
        except NotOpened as error:
            raise SettingsError(f"{model} can't be opened: {error}.", OPEN_REMEDY) from None

    @property
    def _address(self) -> str:
        return self._runtime.meta.endpoint_url

    def _names(self) -> list[str]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            listed = self._catalogue.list_foundation_models(byOutputModality="TEXT")
        except (BotoCoreError, ClientError):
            return []
        return [row["modelId"] for row in listed["modelSummaries"]]

    @cached_property
    def _catalogue(self) -> Any:
        return aws_client("bedrock", self._region, AT_ONCE)

    def _complete(self, task: str, text: str, longest: int | None) -> Answer:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        options: dict[str, Any] = {"temperature": 0.0, **({} if longest is None else {"maxTokens": longest})}
        try:
            reply = self._runtime.converse(
                modelId=self.model,
                system=[{"text": task}],
                messages=[{"role": "user", "content": [{"text": text}]}],
                inferenceConfig=options,
            )
            self._bill(reply["usage"]["inputTokens"], reply["usage"]["outputTokens"])
            blocks = reply["output"]["message"]["content"]
            # Blocks of other kinds are what the model thought.
            said = "".join(block["text"] for block in blocks if "text" in block)
            return Answer(said, reply["stopReason"] == "end_turn")
        except ClientError as error:
            raise self._refusal(error.response) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise ExtractorUnreachable(
                "Bedrock has no credentials.", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a role."
            ) from None
        except BotoCoreError as error:
            raise Passing(f"connection failed ({type(error).__name__})") from None
        except (ValueError, LookupError, TypeError):
            raise EnrichmentError("The language model's answer is not what was asked for.") from None

    def _refusal(self, response: Any) -> Exception:
        code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
        message = response["Error"].get("Message", "")
        if code in PASSING or code == _FAILED or status >= 500:
            return Passing(code)
        if code in NO_RIGHTS:
            return ExtractorUnreachable(
                f"Bedrock refused the credentials for {self.model} ({code}).",
                "They need bedrock:InvokeModel, and the account access to the model in this region.",
            )
        if "inference profile" in message:
            return ExtractorUnreachable(
                f"Bedrock serves {self.model} through an inference profile only.",
                f"Name one of them, such as eu.{self.model} or us.{self.model}.",
            )
        if code == "ResourceNotFoundException" or "model identifier is invalid" in message:
            return self._unknown()
        return EnrichmentError(f"Bedrock refused the request for {self.model} ({code}).")
