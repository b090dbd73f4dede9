"""Targets over the wire: what a webhook, a topic and a mail server get, and what is said when they do not."""

import json
import logging
import socket
from http.client import parse_headers
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sync_assets.errors import NotificationError, SettingsError
from sync_assets.notifications.targets import Message, Target, parse_targets
from sync_assets.settings import Settings, load_settings
from sync_assets_tests.notifications.receivers import free_port, make_certificate, running_mail_server, running_webhook

MESSAGE = Message("sync-assets: 1 failed", "Failed\n- a: <!channel> *x* & é")
ARN = "arn:aws:sns:us-east-1:123456789012:alerts"


def one(url: str) -> Target:
    (target,) = parse_targets(url)
    return target


def test_slack_gets_plain_text_in_which_nothing_calls_the_channel() -> None:
    with running_webhook() as webhook:
        one(webhook.url).send(MESSAGE)
    assert webhook.payloads == [
        {
            "text": "sync-assets: 1 failed\n\nFailed\n- a: &lt;!channel&gt; *x* &amp; é",
            "mrkdwn": False,
            "unfurl_links": False,
        }
    ]


@pytest.mark.parametrize("status", [429, 500, 403])
def test_a_webhook_that_refuses_is_an_error_with_its_status_and_without_its_url(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running_webhook() as webhook:
        webhook.answers = [status]
        with pytest.raises(
            NotificationError, match=f"^Slack webhook at 127.0.0.1 answered {status}. Look at the webhook in"
        ):
            one(webhook.url).send(MESSAGE)
    assert webhook.payloads == []
    assert "sesame" not in caplog.text


def test_what_is_out_of_reach_is_an_error_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    port = free_port()
    for url, name in (
        (f"http://127.0.0.1:{port}/services/sesame", "Slack webhook at 127.0.0.1"),
        (f"smtp://u:sesame@127.0.0.1:{port}/?from=a@b.c&to=d@e.f", "mail server 127.0.0.1 for d@e.f"),
    ):
        with pytest.raises(NotificationError, match="Connection refused") as caught:
            one(url).send(MESSAGE)
        assert str(caught.value).startswith(name)
        assert "sesame" not in f"{caught.value}{caplog.text}"


def test_an_answer_that_is_no_http_is_an_error_without_what_was_answered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as request:
                # Read to its end: what is left unread would break the connection before the answer arrives.
                request.readline()
                headers = parse_headers(request)
                request.read(int(headers["Content-Length"]))
                connection.sendall(b"sesame\r\n\r\n")

        thread = Thread(target=answer)
        thread.start()
        with pytest.raises(
            NotificationError, match=r"^Slack webhook at 127\.0\.0\.1 can't be reached: BadStatusLine\. Look at"
        ):
            one(f"http://127.0.0.1:{server.getsockname()[1]}/services/x").send(MESSAGE)
        thread.join()


def test_a_host_name_that_can_not_be_looked_up_is_an_error_too() -> None:
    with pytest.raises(NotificationError, match="can't be reached: UnicodeError"):
        one(f"https://{'x' * 64}.example/services/x").send(MESSAGE)


def test_a_target_shows_no_secret_of_its_own() -> None:
    for url in ("https://chat.example/services/sesame", "smtp://u:sesame@mail.example/?from=a@b.c&to=d@e.f"):
        assert "sesame" not in repr(one(url))


def test_a_topic_gets_subject_and_text(s3_url: str, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    queues: Any = boto3.client("sqs")
    topics: Any = boto3.client("sns")
    queue = queues.create_queue(QueueName="inbox")["QueueUrl"]
    topic = topics.create_topic(Name="alerts")["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:inbox")

    one(topic).send(MESSAGE._replace(subject="é" * 200))

    received = json.loads(queues.receive_message(QueueUrl=queue)["Messages"][0]["Body"])
    assert received["Message"] == MESSAGE.text
    assert received["Subject"] == "?" * 100, "AWS takes at most 100 characters of ASCII"
    with pytest.raises(
        NotificationError, match=r"^SNS topic gone answered NotFound\. Look at the topic in SYNC_ASSETS_NOTIFY"
    ):
        one("arn:aws:sns:us-east-1:123456789012:gone").send(MESSAGE)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NotificationError, match="NoCredentialsError"):
        one(topic).send(MESSAGE)


def test_a_mail_without_login_reaches_every_recipient() -> None:
    with running_mail_server() as server:
        one(f"smtp://127.0.0.1:{server.port}/?from=sync@acme.example&to=ops@acme.example&to=b@acme.example").send(
            MESSAGE
        )
    (mail,) = server.mails
    assert server.recipients == [["ops@acme.example", "b@acme.example"]]
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        MESSAGE.subject,
        "sync@acme.example",
        "ops@acme.example, b@acme.example",
    )
    assert mail.get_content().splitlines() == MESSAGE.text.splitlines()
    assert mail["Date"]
    assert mail["Message-ID"].endswith("@acme.example>")


def test_a_password_is_sent_over_an_encrypted_connection_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "certificate.pem"
    make_certificate(certificate)
    where = "?from=sync@acme.example&to=ops@acme.example"
    with running_mail_server() as server:
        with pytest.raises(NotificationError, match="the password was not sent"):
            one(f"smtp://sync:sesame%3A1@127.0.0.1:{server.port}/{where}").send(MESSAGE)
        assert (server.logins, server.mails) == ([], [])
    with running_mail_server(certificate) as server:
        target = one(f"smtp://sync:sesame%3A1@127.0.0.1:{server.port}/{where}")
        with pytest.raises(NotificationError, match=r"mail server 127\.0\.0\.1"):
            target.send(MESSAGE)  # signed by nobody who is known
        assert server.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        target.send(MESSAGE)
        assert server.logins == [("sync", "sesame:1", True)]
        assert len(server.mails) == 1
        with pytest.raises(NotificationError, match=r"the server answered 535\. Look at the server, user") as caught:
            one(f"smtp://sync:sesame-2@127.0.0.1:{server.port}/{where}").send(MESSAGE)
        assert "sesame" not in str(caught.value)


def test_a_recipient_that_is_refused_is_named() -> None:
    with running_mail_server() as server:
        server.refuses = {"gone@acme.example"}
        url = f"smtp://127.0.0.1:{server.port}/?from=sync@acme.example&to=gone@acme.example"
        with pytest.raises(NotificationError, match=r"refused gone@acme\.example"):
            one(url).send(MESSAGE)
        with pytest.raises(NotificationError, match=r"refused gone@acme\.example"):
            one(f"{url}&to=ops@acme.example").send(MESSAGE)


def test_keys_tell_targets_apart_and_stay_when_a_password_changes() -> None:
    mail = "smtp://u:{}@mail.example/?from=a@b.c&to={}"
    urls = [
        "https://chat.example/a",
        "https://chat.example/b",
        ARN,
        mail.format("p", "d@e.f"),
        mail.format("p", "g@h.i"),
    ]
    keys = [target.key for target in parse_targets("\n".join(urls))]
    assert len(set(keys)) == len(urls)
    assert one(mail.format("another", "d@e.f")).key == keys[3]


@pytest.mark.parametrize(
    "wrong",
    [
        "sesame",
        "https://sesame",
        "https://a.example/sesame,https://b.example/sesame",
        "ftp://sesame.example/x",
        "arn:aws:sns:eu-west-1:sesame",
        "arn:aws:sqs:eu-west-1:123456789012:sesame",
        "smtp://u:sesame@mail.example/",
        "smtp://u:sesame@mail.example/?from=a@b.c",
        "smtp://u:sesame@mail.example/?to=a@b.c",
        "smtp://u:sesame@mail.example/?from=a@b.c&to=sesame",
        "smtp://u:sesame@mail.example/?from=a@b.c&to=a@b.c&tls=no",
        "smtp://u:sesame@mail.example:port/?from=a@b.c&to=a@b.c",
        "smtp:///?from=sesame@b.c&to=a@b.c",
    ],
)
def test_a_target_of_no_known_form_is_refused_at_start_and_not_shown(
    wrong: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("SYNC_ASSETS_NOTIFY", f"{ARN} {wrong}")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith("SYNC_ASSETS_NOTIFY: Value error, target 2 is none of https://hooks.slack.com/")
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_do_not_show_the_targets() -> None:
    settings = Settings(notify="https://chat.example/sesame")  # pyright: ignore[reportArgumentType] a string becomes a secret
    assert "sesame" not in f"{settings!r} {settings.model_dump_json()}"
