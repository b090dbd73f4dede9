"""Text in every encoding that people send, also where there is little of it."""

from collections.abc import Iterator

import pytest

from sync_assets.attachments.characters import text_of

JAPANESE = """平素より大変お世話になっております。
設定画面を開いて、ネットワークの項目から無線の状態を確認してください。
ファームウェアの更新後に通信が不安定になりました。至急ご対応をお願いします。
"""
KOREAN = """설정 화면에서 네트워크 상태를 확인해 주시기 바랍니다.
업데이트 이후에 통신이 자주 끊기고 있습니다. 빠른 처리를 부탁드립니다.
"""
CHINESE = """请在设置页面查看网络状态，然后重新连接。
更新之后通信经常中断，希望你们能够尽快处理这个问题。
"""
RUSSIAN = """Проверьте состояние сети на странице настроек и подключитесь снова.
После обновления связь часто прерывается, просим решить вопрос как можно скорее.
"""
WESTERN = """Überprüfen Sie bitte den Zustand des Netzes auf der Seite für Einstellungen.
Après la mise à jour, la connexion est souvent coupée ; merci de régler cela dès que possible.
"""
LOG = "2026-11-03 10:22:11 INFO start\n" * 40 + "2026-11-03 10:22:12 ERROR {}\n" + "10:22:13 INFO ok\n" * 40


def slices(text: str, length: int) -> Iterator[str]:
    pieces = (text[start : start + length] for start in range(0, len(text) - length, 3))
    return (piece for piece in pieces if not piece.isascii())


@pytest.mark.parametrize(
    ("text", "encoding", "shortest"),
    [
        (JAPANESE, "cp932", 4),
        (JAPANESE, "euc_jp", 4),
        (JAPANESE, "iso2022_jp", 8),
        (KOREAN, "cp949", 8),
        (CHINESE, "gb18030", 8),
        (RUSSIAN, "cp1251", 80),
        (WESTERN, "cp1252", 70),
    ],
)
def test_pieces_of_a_text_are_read_in_their_true_encoding(text: str, encoding: str, shortest: int) -> None:
    pieces = [piece for length in (shortest, shortest + 7, 90) for piece in slices(text, length)]
    wrong = [piece for piece in pieces if text_of(piece.encode(encoding)) != piece]
    assert len(pieces) >= 15
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("電源が入らない。\n確認してください。", "cp932"),
        ("電源が入らない。\n確認してください。", "euc_jp"),
        ("見積書", "cp932"),
        ("見積書", "euc_jp"),
        ("半角ｶﾅと漢字 pump", "cp932"),
        ("ﾃｽﾄ 123", "euc_jp"),
        ("Größe: 12 mm", "cp1252"),
        ("café", "cp1252"),
        ("naïve – “quoted”", "cp1252"),
        ("Prix: 12 €", "cp1252"),
        ("확인했습니다", "cp949"),
        ("已经收到", "gb18030"),
    ],
)
def test_short_texts_are_read_in_their_true_encoding(text: str, encoding: str) -> None:
    assert text_of(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("接続失敗", "cp932"),
        ("接続失敗", "euc_jp"),
        ("연결 실패", "cp949"),
        ("连接失败", "gb18030"),
        ("gestört", "cp1252"),
    ],
)
def test_one_line_in_a_long_english_log_decides(text: str, encoding: str) -> None:
    log = LOG.format(text)
    assert text_of(log.encode(encoding)) == log


@pytest.mark.parametrize("text", ["name,price\npump,12\n", "名前,price of the pump\nポンプ,12 euro\n", "ab"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_known_without_its_mark(text: str, encoding: str) -> None:
    assert text_of(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "data", [bytes(range(256)) * 8, b"\x01\x00\x02\x00\x03\x00" * 300, bytes(4000), b"\x00\x00\x01\x02" * 500]
)
def test_numbers_with_many_zeros_are_no_text(data: bytes) -> None:
    assert text_of(data) is None
