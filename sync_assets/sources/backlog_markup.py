"""Backlog's own text formatting rule as Markdown, and the JSON of a document as text.

What belongs here: the marks of that rule, as Nulab's help describes them. Which project uses it is in the project's
own facts; a project with the other rule writes Markdown already. What is no known mark stays as it was written.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any

_CODE_END, _QUOTE, _QUOTE_END = "{/code}", "{quote}", "{/quote}"
_DEEPEST_QUOTE = 5  # levels; what is quoted deeper stands on the last of them
_BLOCK_MARK = re.compile(r"(\{code(?::[^{}\n]{0,40})?\}|\{/code\}|\{quote\}|\{/quote\})")
_HEADING = re.compile(r"(\*{1,6})[ \t\u3000]+(.*)")
_ITEM = re.compile(r"(-{1,6}|\+{1,6})[ \t\u3000]+(.*)")
_ROW = re.compile(r"\|(.*)\|(h?)[ \t]*")
# A line that would be a heading in Markdown only.
_HASH = re.compile(r"#{1,6}(?=[ \t])")
_CONTENTS = re.compile(r"#contents[ \t]*")
_LANGUAGE = re.compile(r"[\w+#.-]+")

_LINE_BREAK = re.compile(r"&br;")
_COLOR = re.compile(r"&color\([^()\n]{0,60}\)[ \t]*\{([^{}\n]{0,2000})\}")
_FILE = re.compile(r"#(image|thumbnail|attach)\(([^()\n]{1,300})\)")
_LINK = re.compile(r"\[\[([^\[\]\n]{1,2000})\]\]")
_LABELLED = re.compile(r"(.*?)[>:](https?://.*)")
_ITALIC = re.compile(r"'''((?:[^'\n]|'(?!''))+)'''")
_BOLD = re.compile(r"''((?:[^'\n]|'(?!'))+)''")
_STRUCK = re.compile(r"%%([^%\n]+)%%")
_KEPT = re.compile(r"\0(\d+)\0")

# Nodes of a document's JSON whose children stand on one line.
_INLINE_PARENTS = {"paragraph", "heading", "codeBlock", "code_block"}


def backlog_to_markdown(text: str) -> str:
    """A text in Backlog's formatting rule as Markdown: headings, lists, quotes, code, tables, links and styles.

    Images and files leave their names, a colour leaves its text, a table of contents nothing.

    >>> print(backlog_to_markdown("* 手順\\n- ''電源''を切る\\n-- [[説明書>https://a.example/]]を見る"))
    # 手順
    - **電源**を切る
        - [説明書](https://a.example/)を見る
    """
    pieces = _BLOCK_MARK.split(text.replace("\r\n", "\n").replace("\0", ""))
    return re.sub(r"\n{3,}", "\n\n", _blocks(pieces)).strip("\n")


def json_text(value: Any) -> str:
    """The texts of a ProseMirror document (prosemirror.net/docs/guide), one block on a line.

    Args:
        value: its JSON, or that as a text.

    Raises:
        ValueError: the text is not JSON.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError:
            raise ValueError("document.json: it is not JSON") from None
    lines = ["".join(line) for line in _node_lines(value)]
    return "\n".join(line for line in lines if line.strip()).strip()


def _blocks(pieces: list[str]) -> str:
    """Texts and block marks, which alternate; a mark without its other half is text."""
    ends = _ends(pieces)
    closing = set(ends.values())
    # The blocks of each quote that is open, within those of the text.
    levels: list[list[str]] = [[]]
    depth = 0
    prose: list[str] = []
    position = 0
    while position < len(pieces):
        piece, end = pieces[position], ends.get(position)
        if end is None and position not in closing:
            prose.append(piece)
            position += 1
            continue
        levels[-1].append(_prose("".join(prose)))
        prose.clear()
        if end is None:
            if depth <= _DEEPEST_QUOTE:
                quoted = _quoted(_one_text(levels.pop()))
                levels[-1].append(quoted)
            depth -= 1
        elif piece == _QUOTE:
            depth += 1
            levels += [[]] if depth <= _DEEPEST_QUOTE else []
        else:
            levels[-1].append(_fenced(piece, "".join(pieces[position + 1 : end])))
            position = end
        position += 1
    return _one_text([*levels[0], _prose("".join(prose))])


def _ends(pieces: list[str]) -> dict[int, int]:
    """Where each quote and each stretch of code ends, by where it begins; marks within code are code."""
    code_ends = [position for position in range(1, len(pieces), 2) if pieces[position] == _CODE_END]
    ends: dict[int, int] = {}
    quotes: list[int] = []
    code_end = -1
    for position in range(1, len(pieces), 2):
        mark = pieces[position]
        if position <= code_end:
            continue
        if mark == _QUOTE:
            quotes.append(position)
        elif mark == _QUOTE_END and quotes:
            ends[quotes.pop()] = position
        elif mark.startswith("{code") and code_ends and position < code_ends[-1]:
            code_end = ends[position] = code_ends[bisect_left(code_ends, position)]
    return ends


def _one_text(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in (block.strip("\n") for block in blocks) if block)


def _fenced(mark: str, code: str) -> str:
    language = mark.removeprefix("{code").strip(":} ")
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + (language if _LANGUAGE.fullmatch(language) else ""), code.strip("\n"), fence])


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip(" ") for line in text.strip("\n").split("\n"))


def _prose(text: str) -> str:
    """Text outside code: line by line, rows of a table and items of a list with their neighbours."""
    lines = text.split("\n")
    written: list[str] = []
    position = 0
    while position < len(lines):
        for form, block in ((_ROW, _table), (_ITEM, _list)):
            run = _run(lines, position, form)
            if run:
                written += block(run)
                position += len(run)
                break
        else:
            written.append(_line(lines[position]))
            position += 1
    return "\n".join(written)


def _run(lines: list[str], start: int, form: re.Pattern[str]) -> list[re.Match[str]]:
    """Neighbouring lines of one form."""
    matches = (form.fullmatch(lines[index]) for index in range(start, len(lines)))
    return [match for match in takewhile(bool, matches) if match]


def _line(line: str) -> str:
    if heading := _HEADING.fullmatch(line):
        return f"{'#' * len(heading[1])} {_inline(heading[2])}"
    if _CONTENTS.fullmatch(line):
        return ""
    return _inline(_HASH.sub(r"\\\g<0>", line, count=1) if _HASH.match(line) else line)


def _list(items: list[re.Match[str]]) -> Iterator[str]:
    """Items with four spaces for each level; a level that was skipped would make code of them."""
    level = 0
    for item in items:
        level = min(len(item[1]), level + 1)
        yield f"{' ' * 4 * (level - 1)}{'-' if item[1][0] == '-' else '1.'} {_inline(item[2])}"


def _table(rows: list[re.Match[str]]) -> Iterator[str]:
    cells = [[_cell(cell) for cell in _split_row(row[1])] for row in rows]
    columns = max(map(len, cells))
    header = cells.pop(0) if rows[0][2] else []
    yield ""
    yield _row(header, columns)
    yield _row(["---"] * columns, columns)
    for row in cells:
        yield _row(row, columns)
    yield ""


def _split_row(row: str) -> list[str]:
    """Cells of a row; a bar within a link or after a backslash divides none."""
    return re.split(r"(?<!\\)\|(?![^\[\]|]*\]\])", row)


def _cell(text: str) -> str:
    """A cell; `>` joins it to the one at its left or right, `~` makes it the header of its row."""
    text = text.strip()
    return "" if text == ">" else _inline(text.removeprefix("~")).replace("\n", " ").strip()


def _row(cells: list[str], columns: int) -> str:
    return f"| {' | '.join([*cells, *[''] * (columns - len(cells))])} |"


def _inline(text: str) -> str:
    """Marks within a line. Links and files stand aside meanwhile, since addresses may hold the marks of styles."""
    aside: list[str] = []

    def keeping(form: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
        def keep(found: re.Match[str]) -> str:
            aside.append(form(found))
            return f"\0{len(aside) - 1}\0"

        return keep

    text = _LINK.sub(keeping(_link), _FILE.sub(keeping(_file), text))
    text = _COLOR.sub(lambda found: found[1].strip(), _LINE_BREAK.sub("\n", text))
    text = _STRUCK.sub(r"~~\1~~", _BOLD.sub(r"**\1**", _ITALIC.sub(r"*\1*", text)))
    return _KEPT.sub(lambda found: aside[int(found[1])], text)


def _file(found: re.Match[str]) -> str:
    """The name of an image or a file, without its address, which may be signed."""
    value = found[2].strip()
    if found[1] == "attach":
        return value.rpartition(":")[0] or value
    return f"![{value.partition('?')[0].rpartition('/')[2]}]()"


def _link(found: re.Match[str]) -> str:
    """`[[address]]`, `[[label>address]]`, `[[label:address]]`, or the name of a wiki page or the key of an issue."""
    content = found[1].strip()
    if content.startswith(("http://", "https://")):
        return f"<{content}>"
    if labelled := _LABELLED.fullmatch(content):
        return f"[{labelled[1].strip()}]({labelled[2]})"
    label, _, page = content.partition(">")
    return label.strip() if page else content


def _node_lines(root: Any) -> list[list[str]]:
    """The texts of each block. Without recursion, since nothing bounds how deep a document nests."""
    lines: list[list[str]] = [[]]
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        if isinstance(node.get("text"), str):
            lines[-1].append(node["text"])
        elif node.get("type") in ("hardBreak", "hard_break"):
            lines[-1].append("\n")
        elif node.get("type") in _INLINE_PARENTS:
            lines.append([])
        content = node.get("content")
        waiting += reversed(content if isinstance(content, list) else [])
    return lines
