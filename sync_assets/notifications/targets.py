"""Where messages go: Slack incoming webhooks, AWS SNS topics and e-mail, each named by one URL.

What belongs here: reading those URLs and sending one message. What does not: what there is to tell.
"""

import hashlib
import logging
import re
import smtplib
import ssl
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import ClassVar, NamedTuple
from urllib.error import URLError
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from sync_assets.errors import NotificationError

ALLOWED = (
    "https://hooks.slack.com/services/..., arn:aws:sns:REGION:ACCOUNT:TOPIC or "
    "smtp://USER:PASSWORD@HOST:PORT/?from=ADDRESS&to=ADDRESS, several with spaces between them"
)

_SECONDS = 10
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):\d{12}:(?P<topic>[A-Za-z0-9_-]+)", re.ASCII)
# The client would write the webhook's URL, which is the secret, to a logger that listens to everything.
_SILENT = logging.Logger("sync_assets.notifications.slack", logging.CRITICAL)


class Message(NamedTuple):
    """Plain text with a subject of one line."""

    subject: str
    text: str


class Target(ABC):
    """One place that messages are sent to.

    Attributes:
        name: what may be shown of it.
        key: tells it from all others, and tells nothing of its secrets.
        remedy: what to look at where it takes no message.
    """

    name: str
    key: str
    remedy: ClassVar[str]

    def send(self, message: Message) -> None:
        """Send a message; it was accepted when this returns.

        Raises:
            NotificationError: it was not.
        """
        try:
            self._send(message)
        except NotificationError:
            raise
        except Exception as error:  # noqa: BLE001 libraries raise what they like, with the URL in the text
            raise self._refusal(f"can't be reached: {type(error).__name__}") from None

    def _refusal(self, what: str) -> NotificationError:
        return NotificationError(f"{self.name} {what}.", self.remedy)

    @abstractmethod
    def _send(self, message: Message) -> None:
        """As `send`, where any exception means that the message was not accepted."""


@dataclass(frozen=True)
class SlackWebhook(Target):
    """An incoming webhook of Slack, or of a chat that understands the same."""

    name: str
    key: str
    url: str = field(repr=False)
    remedy: ClassVar[str] = "Look at the webhook in SYNC_ASSETS_NOTIFY; one that was revoked is to be made anew."

    def _send(self, message: Message) -> None:
        from slack_sdk.webhook import WebhookClient

        text = f"{message.subject}\n\n{message.text}"
        for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, entity)
        try:
            answer = WebhookClient(self.url, timeout=_SECONDS, logger=_SILENT).send_dict(
                {"text": text, "mrkdwn": False, "unfurl_links": False}
            )
        except (URLError, OSError) as error:
            raise self._refusal(f"can't be reached: {_cause(error)}") from None
        if answer.status_code != 200:
            raise self._refusal(f"answered {answer.status_code}")


@dataclass(frozen=True)
class SnsTopic(Target):
    """A topic of AWS SNS, with the credentials that AWS's own settings or the machine's role give."""

    name: str
    key: str
    region: str
    remedy: ClassVar[str] = "Look at the topic in SYNC_ASSETS_NOTIFY, and at the credentials, which need sns:Publish."

    def _send(self, message: Message) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import ClientError

        config = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2})
        try:
            client = boto3.client("sns", region_name=self.region, config=config)
            client.publish(TopicArn=self.key, Subject=_ascii(message.subject, 100), Message=message.text)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise self._refusal(f"answered {code}") from None


@dataclass(frozen=True)
class Mail(Target):
    """E-mail over a server that takes it in. A password is sent only over an encrypted connection."""

    name: str
    key: str
    url: SplitResult = field(repr=False)
    sender: str
    recipients: tuple[str, ...]
    remedy: ClassVar[str] = "Look at the server, user and addresses in SYNC_ASSETS_NOTIFY."

    def _send(self, message: Message) -> None:
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Date"] = formatdate()
        mail["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        mail.set_content(message.text)
        try:
            with self._connection() as connection:
                refused = connection.send_message(mail)
        except (smtplib.SMTPException, OSError) as error:
            raise self._refusal(f"took no message: {_cause(error)}") from None
        if refused:
            raise self._refusal(f"refused {', '.join(sorted(refused))}")

    def _connection(self) -> smtplib.SMTP:
        host, port = self.url.hostname or "", self.url.port or 0
        encrypted = self.url.scheme == "smtps"
        if encrypted:
            connection = smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=ssl.create_default_context())
        else:
            connection = smtplib.SMTP(host, port, timeout=_SECONDS)
        connection.ehlo()
        if not encrypted and connection.has_extn("starttls"):
            connection.starttls(context=ssl.create_default_context())
            encrypted = True
        if self.url.username:
            if not encrypted:
                connection.close()
                raise NotificationError(
                    f"{self.name} offers no encryption, so the password was not sent.",
                    "Name a server with STARTTLS or smtps:// in SYNC_ASSETS_NOTIFY.",
                )
            connection.login(unquote(self.url.username), unquote(self.url.password or ""))
        return connection


def parse_targets(text: str) -> list[Target]:
    """The targets that a setting names, with white space between them.

    Raises:
        ValueError: one of them is of no known form; the text says which and what is allowed, and shows none.
    """
    targets: list[Target] = []
    for number, item in enumerate(text.split(), 1):
        try:
            targets.append(_parse(item))
        except ValueError:
            raise ValueError(f"target {number} is none of {ALLOWED}") from None
    return targets


def _parse(item: str) -> Target:
    topic = _TOPIC.fullmatch(item)
    if topic:
        return SnsTopic(f"SNS topic {topic['topic']}", item, topic["region"])
    url = urlsplit(item)
    if not url.hostname or "," in item or url.port == 0:
        raise ValueError
    if url.scheme in ("https", "http") and url.path.strip("/"):
        return SlackWebhook(f"Slack webhook at {url.hostname}", _key(item), item)
    if url.scheme in ("smtp", "smtps"):
        fields = parse_qs(url.query, strict_parsing=True)
        senders, recipients = fields.pop("from", []), fields.pop("to", [])
        if (
            fields
            or len(senders) != 1
            or not recipients
            or not all("@" in parseaddr(address)[1] for address in (*senders, *recipients))
        ):
            raise ValueError
        without_password = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
        return Mail(
            f"mail server {url.hostname} for {', '.join(recipients)}",
            _key(without_password),
            url,
            senders[0],
            tuple(recipients),
        )
    raise ValueError


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _ascii(text: str, most: int) -> str:
    return text.encode("ascii", "replace").decode()[:most]


def _cause(error: Exception) -> str:
    """What went wrong, without what a server said in its own words: that may repeat what it was sent."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the server answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the server refused {', '.join(sorted(error.recipients))}"
    reason = error.reason if isinstance(error, URLError) else error
    return (reason.strerror if isinstance(reason, OSError) else None) or type(reason).__name__
