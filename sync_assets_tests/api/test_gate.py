"""What every request meets: keys, rates, sizes, and errors that tell their sender what to do and nothing else."""

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sync_assets_tests.api.installations import INTERNAL, OPERATOR, PUBLIC, api, bearer
from sync_assets_tests.command_line import Installation

QUESTION = {"text": "de the"}


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem that a response is, without the id that differs in each."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told.pop("request_id") == response.headers["x-request-id"]
    assert told["status"] == status
    return told


@pytest.mark.parametrize(
    "headers",
    [{}, bearer("wrong"), {"X-API-Key": "wrong"}, {**bearer(INTERNAL), "X-API-Key": PUBLIC}, {"Authorization": "X"}],
    ids=["none", "wrong", "wrong header", "two", "no scheme"],
)
def test_without_one_right_key_nothing_is_told(client: TestClient, headers: Mapping[str, str]) -> None:
    response = client.post("/v1/search", json=QUESTION, headers=headers)
    assert problem(response, 401)["title"] == "No valid key"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("headers", [bearer(PUBLIC), {"X-API-Key": PUBLIC}, {**bearer(PUBLIC), "X-API-Key": PUBLIC}])
def test_a_key_may_come_in_either_header(client: TestClient, headers: Mapping[str, str]) -> None:
    assert client.post("/v1/search", json=QUESTION, headers=headers).status_code == 200


def test_a_tenant_that_exists_is_refused_as_one_that_does_not(client: TestClient) -> None:
    answers = [
        problem(client.post("/v1/search", json={**QUESTION, "tenant": tenant}, headers=bearer(INTERNAL)), 403)
        for tenant in ("acme", "nobody")
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/v1/jobs", PUBLIC),
        ("POST", "/v1/jobs", PUBLIC),
        ("GET", "/metrics", INTERNAL),
        ("POST", "/v1/tenants/polder/purge", INTERNAL),
    ],
)
def test_a_key_does_no_more_than_it_is_for(client: TestClient, method: str, path: str, key: str) -> None:
    problem(client.request(method, path, headers=bearer(key), json={}), 403)


def test_the_operators_key_names_a_tenant(client: TestClient) -> None:
    assert "tenant" in problem(client.post("/v1/search", json=QUESTION, headers=bearer(OPERATOR)), 422)["detail"]
    named = client.post("/v1/search", json={**QUESTION, "tenant": "acme"}, headers=bearer(OPERATOR))
    assert {hit["document_id"].split("_")[0] for hit in named.json()["results"]} == {"acme"}
    unknown = client.post("/v1/search", json={**QUESTION, "tenant": "nobody"}, headers=bearer(OPERATOR))
    assert "nobody" in problem(unknown, 422)["detail"]


def test_who_asks_too_often_is_told_when_to_ask_again(installation: Installation) -> None:
    with api(installation, SYNC_ASSETS_API_REQUESTS_PER_MINUTE="2") as client:
        answers = [client.post("/v1/search", json=QUESTION, headers=bearer(PUBLIC)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 60
        assert client.post("/v1/search", json=QUESTION, headers=bearer(INTERNAL)).status_code == 200
        guesses = [client.post("/v1/search", json=QUESTION, headers=bearer(f"guess {n}")) for n in range(3)]
        assert [answer.status_code for answer in guesses] == [401, 401, 429]


def test_a_tenants_file_that_was_broken_meanwhile_opens_nothing_and_tells_nothing(installation: Installation) -> None:
    with api(installation, SYNC_ASSETS_API_REQUESTS_PER_MINUTE="3") as client:
        good = installation.tenants_file.read_text()
        installation.tenants_file.write_text(good.replace("${POLDER_KEY}", "${POLDER_GONE}"))
        try:
            answers = [
                client.post("/v1/search", json=QUESTION, headers=bearer(key))
                for key in (OPERATOR, INTERNAL, "guess", "guess")
            ]
        finally:
            installation.tenants_file.write_text(good)
        told = [problem(answer, 503) for answer in answers[:3]]
        assert told[0] == told[1] == told[2]
        assert not [word for word in ("POLDER", "polder", "yaml", "/") if word in told[0]["detail"]]
        assert answers[3].status_code == 429, "guesses count"


def test_a_request_that_is_too_large_is_refused(client: TestClient) -> None:
    def parts() -> Any:
        yield from [b" " * 1024] * 65

    for content in (b" " * (64 * 1024 + 1), parts()):
        problem(client.post("/v1/search", content=content, headers=bearer(PUBLIC)), 413)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.text"),
        ({"text": " "}, "body.text"),
        ({"text": "a\0b"}, "body.text"),
        ({"text": "a", "top_k": 51}, "body.top_k"),
        ({"text": "a", "source": "sesame"}, "body.source"),
        ({"text": "a", "sesame": 1}, "body.sesame"),
        ({"text": "a", "tenant": "../acme"}, "body.tenant"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not_sent_back(
    client: TestClient, body: dict[str, Any], field: str
) -> None:
    told = problem(client.post("/v1/search", json=body, headers=bearer(PUBLIC)), 422)
    assert [error["field"] for error in told["errors"]] == [field]
    assert set(told["errors"][0]) == {"field", "problem"}


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"text": "\\ud800"}', 422), (b"{", 422), (b"\xff", 400), (b"[]", 422), (b'{"text": "a", "recency": NaN}', 422)],
)
def test_what_is_no_request_is_the_senders_mistake(client: TestClient, body: bytes, status: int) -> None:
    headers = {**bearer(PUBLIC), "Content-Type": "application/json"}
    problem(client.post("/v1/search", content=body, headers=headers), status)


def test_the_id_of_a_request_may_be_chosen_by_its_sender(client: TestClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert len(client.get("/health", headers={"X-Request-ID": "not mine"}).headers["x-request-id"]) == 32
    assert problem(client.get("/nowhere"), 404)["title"] == "Not found"


def test_no_key_stands_in_the_log_or_in_the_pages(installation: Installation, client: TestClient) -> None:
    client.post("/v1/search", json=QUESTION, headers=bearer(PUBLIC))
    texts = [path.read_text() for path in (installation.home / "logs").glob("*.log")]
    texts += [client.get("/openapi.json").text, client.get("/docs").text]
    assert not [key for key in (OPERATOR, PUBLIC, INTERNAL) for text in texts if key in text]
