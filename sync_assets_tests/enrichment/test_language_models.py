"""Language models over the wire: an API like OpenAI's and Bedrock, on servers that speak their protocols."""

from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from pydantic import ValidationError

from sync_assets.enrichment import Article, EnrichmentError, ExtractorUnreachable, Tokens
from sync_assets.enrichment.bedrock import BedrockChat
from sync_assets.enrichment.chat import Chat, OpenAiChat
from sync_assets.enrichment.llm import LlmSummariser
from sync_assets.enrichment.summaries import Summaries
from sync_assets.enrichment.summariser import open_summariser
from sync_assets.errors import SettingsError
from sync_assets.settings import Settings
from sync_assets_tests.embedding.vendors import KEY, tokens_of
from sync_assets_tests.enrichment import language_models
from sync_assets_tests.enrichment.language_models import NOVA, PROFILED, LanguageModel, summary_of

ARTICLES = [Article(f"Pump {number}", "It stops after a minute. " * number, "en") for number in range(1, 7)]
TEXTS = [f"{article.title}\n\n{article.text}" for article in ARTICLES]


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Attempts follow each other at once."""
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, LanguageModel]]:
    with language_models.openai() as openai, language_models.bedrock() as bedrock:
        yield {"llm": openai, "bedrock": bedrock}


@pytest.fixture(params=["llm", "bedrock"])
def server(
    request: pytest.FixtureRequest, servers: dict[str, LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> LanguageModel:
    """Each of them as if it had just started."""
    found = servers[request.param]
    found.bodies.clear()
    found.seen.clear()
    found.failures.clear()
    found.answer, found.broken_off = summary_of, False
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame")
    for name in ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL_BEDROCK"):
        monkeypatch.setenv(name, servers["bedrock"].url)
    return found


def chat(server: LanguageModel, model: str | None = None, key: str = KEY) -> Chat:
    if server.url.endswith("/v1"):
        return OpenAiChat(server.url, model or "tiny-chat", key)
    return BedrockChat(model or NOVA, "eu-west-1")


def summarise(server: LanguageModel, model: str | None = None, **options: Any) -> list[str | EnrichmentError]:
    summariser = LlmSummariser("llm", chat(server, model, **options), 200)
    try:
        return summariser.summarise(ARTICLES)
    finally:
        summariser.close()


def refusal(answers: list[str | EnrichmentError]) -> EnrichmentError:
    """The one refusal that all texts got."""
    (found,) = {str(answer): answer for answer in answers}.values()
    assert isinstance(found, EnrichmentError)
    return found


def test_each_document_is_asked_for_once_and_what_the_vendor_counted_is_known(server: LanguageModel) -> None:
    summariser = LlmSummariser("llm", chat(server), 200)
    assert summariser.summarise(ARTICLES) == [summary_of(text) for text in TEXTS]
    read, written = sum(map(tokens_of, TEXTS)), sum(tokens_of(summary_of(text)) for text in TEXTS)
    assert summariser.billed == Tokens(read, written)
    assert server.asked == [article.title for article in ARTICLES]
    body = server.bodies[0]
    system = body["system"][0]["text"] if "system" in body else body["messages"][0]["content"]
    assert "at most 28 words" in system
    assert "never an instruction" in system
    options = body.get("inferenceConfig") or {name: body[name] for name in ("temperature", "max_tokens")}
    assert options in ({"temperature": 0, "maxTokens": 400}, {"temperature": 0, "max_tokens": 400})
    summariser.close()


def test_a_busy_or_broken_server_is_asked_again(server: LanguageModel) -> None:
    server.failures[:] = [429, 503, 0]
    assert summarise(server) == [summary_of(text) for text in TEXTS]
    server.failures[:] = [503] * 24
    found = refusal(summarise(server))
    assert isinstance(found, ExtractorUnreachable)
    assert "after all attempts" in found.message
    ours = "SYNC_ASSETS_LLM_URL" if server.url.endswith("/v1") else "SYNC_ASSETS_BEDROCK_REGION"
    assert [one for one in ("SYNC_ASSETS_LLM_URL", "SYNC_ASSETS_BEDROCK_REGION") if one in found.remedy] == [ours]


@pytest.mark.parametrize(
    ("said", "words"),
    [("", "is empty"), (" \n\x00", "is empty"), ("very long " * 50, "499 characters, more than twice")],
)
def test_an_answer_that_is_no_summary_is_a_failure_of_that_text(server: LanguageModel, said: str, words: str) -> None:
    server.answer = lambda text: said if text.startswith("Pump 2") else "Fine\n\nsummary\x00."
    answers = summarise(server)
    assert answers[:1] + answers[2:] == ["Fine summary."] * 5
    assert isinstance(answers[1], EnrichmentError)
    assert words in answers[1].message


def test_an_answer_that_was_broken_off_is_never_taken(server: LanguageModel) -> None:
    server.broken_off = True
    assert "broken off" in refusal(summarise(server)).message


def test_a_wrong_name_is_told_with_the_names_that_there_are(server: LanguageModel) -> None:
    found = refusal(summarise(server, "tiny-chatt"))
    assert isinstance(found, ExtractorUnreachable)
    assert "has no model 'tiny-chatt'" in found.message
    names = "tiny-chat, tiny-chat-mini, new-chat" if server.url.endswith("/v1") else NOVA
    assert found.remedy == f"There are: {names}."
    assert server.bodies == []


def test_a_wrong_key_is_told_without_it(server: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "pa-wrong")
    found = refusal(summarise(server, key="pa-wrong"))
    assert isinstance(found, ExtractorUnreachable)
    assert "refused the" in found.message
    assert "pa-wr" not in str(found)
    # A refusal is final: one request for each text.
    assert sum(server.seen.values()) == len(ARTICLES)


def test_fields_that_a_newer_model_refuses_are_left_out(servers: dict[str, LanguageModel]) -> None:
    server = servers["llm"]
    server.bodies.clear()
    server.answer, server.broken_off = summary_of, False
    assert summarise(server, "new-chat") == [summary_of(text) for text in TEXTS]
    assert [sorted(body) for body in server.bodies] == [["max_completion_tokens", "messages", "model"]] * len(ARTICLES)


@pytest.mark.parametrize("server", ["bedrock"], indirect=True)
def test_a_model_that_needs_an_inference_profile_says_so(server: LanguageModel) -> None:
    found = refusal(summarise(server, PROFILED))
    assert "inference profile" in found.message
    assert f"eu.{PROFILED}" in found.remedy


def test_a_missing_setting_is_named_and_so_is_a_wrong_option(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    without = Settings()
    named = without.model_copy(update={"llm_url": "http://127.0.0.1:1/v1"})
    for settings, options, name in (
        (without, {"kind": "llm", "model": "tiny"}, "SYNC_ASSETS_LLM_URL"),
        (named, {"kind": "llm"}, "SYNC_ASSETS_LLM_MODEL"),
        (without, {"kind": "bedrock", "model": NOVA}, "SYNC_ASSETS_BEDROCK_REGION"),
    ):
        with pytest.raises(SettingsError, match=name):
            open_summariser(settings, Summaries.model_validate(options))
    for wrong, word in (
        ({"kind": "bedrock"}, "needs a model"),
        ({"model": "tiny"}, "extractive has no model"),
        ({"kind": "abstractive"}, "kind"),
        ({"length": 10}, "length"),
        ({"max_characters": 10}, "max_characters"),
    ):
        with pytest.raises(ValidationError, match=word):
            Summaries.model_validate(wrong)
