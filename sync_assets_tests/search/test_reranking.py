"""Reranking with a real cross-encoder, tiny and with weights that come from a seed."""

from pathlib import Path

import pytest

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.search import search
from sync_assets.search.reranking import reranked
from sync_assets.settings import Settings
from sync_assets.vector_stores import Audience
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.search.corpus import Corpus, open_installation

PUBLIC = Audience(visibility=Visibility.PUBLIC)
TEXTS = ("vpn drops", "printer paper", "lift phone silent", "router restarts at night", "mail bounces")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of one layer, saved as the library saves one."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification
    from transformers.models.bert.tokenization_bert import BertTokenizer

    found = tmp_path_factory.mktemp("reranker")
    words = sorted({word for text in TEXTS for word in text.split()})
    (found / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=5 + len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=1.0,
    )
    config.num_labels = 1
    BertForSequenceClassification(config).save_pretrained(found)
    BertTokenizer(str(found / "vocab.txt")).save_pretrained(found)
    return found


def test_the_order_follows_the_cross_encoder(folder: Path, tmp_path: Path, postgres_url: str) -> None:
    from sentence_transformers import CrossEncoder

    with fresh_database(postgres_url) as url, open_installation(tmp_path, url, reranker=str(folder)) as services:
        corpus = Corpus(services, "acme")
        for number, text in enumerate(TEXTS):
            corpus.add(str(number), text, stores=["pgvector"], title=f"T{number}")
        asked = {"tenant": "acme", "audience": PUBLIC}
        plain = search(corpus.services, "vpn drops", **asked)
        results = search(corpus.services, "vpn drops", rerank=True, **asked)
        assert "rerank" not in plain[0].scores
        texts = {str(number): f"T{number}\n{text}" for number, text in enumerate(TEXTS)}
        logits = CrossEncoder(str(folder)).predict([("vpn drops", text) for text in texts.values()])
        by_record = dict(zip(texts, (float(one) for one in logits), strict=True))
        expected = sorted(by_record, key=lambda one: -by_record[one])
        assert [result.record_id for result in results] == expected
        assert expected != [result.record_id for result in plain], "else nothing is shown"
        assert all(0 < result.score == result.scores["rerank"] < 1 for result in results)
        assert set(results[0].scores) >= {"dense", "rerank"}


def test_a_reranker_that_is_none_names_the_setting(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, reranker=str(tmp_path))
    with pytest.raises(SettingsError, match=r"SYNC_ASSETS_RERANKER=.*does not work"):
        reranked(settings, "vpn", ["vpn"])
