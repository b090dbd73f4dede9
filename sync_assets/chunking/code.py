"""Code: each function a unit of its own, and each class or namespace one of all that is not in its functions.

So an edit in a function changes the chunks of that function and no others. Imports, constants and whatever else stands
between the definitions of a file go together as the file's own unit. A unit that is too long is split at its
statements. The text of a chunk says in its first line what it is in (`class Menu > def open(self, key)`), but neither
the file's path nor a line number: a file that moves, and lines that move, embed nothing.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple

from tree_sitter import Node

from sync_assets.chunking.grammars import read
from sync_assets.chunking.splitting import Body, Layout, Names, Piece, line_starts, split_all, trim_lines
from sync_assets.embedding import Tokenizer

_SEPARATOR = " > "
_NAME_CHARACTERS = 100
_LINE_CHARACTERS = 500
# Longer first lines are replaced by the qualified name, and where that is too long too, left out.
_HEADING_SHARE = 3
_DEEPEST = 12  # levels of statements below a unit; what is nested deeper is cut like these

_WIDEST_INDENTATION = 400  # characters; what stands further to the right begins no line

# They say nothing of where a function is, and are in its text anyway.
_MODIFIERS = {"attribute_list", "decorator", "modifier", "modifiers"}

_SIGNATURE_END = re.compile(r"\s*(?:\{|:|=>|=|;)?\s*$")
_RECEIVER = re.compile(r"(\w+)\s*(?:\[[^\]]*\])?\s*\)$")


class _Source:
    """Code with its tree; positions are characters, lines are counted from 0."""

    def __init__(self, text: str, language: str) -> None:
        content = text.encode()
        self.text = text
        self.tree, self.captures = read(content, language)
        self.line_starts = line_starts(text)
        # Characters that begin before each byte; a byte of the form 10xxxxxx goes on with a character.
        self._characters = None if text.isascii() else [0, *accumulate(byte & 0xC0 != 0x80 for byte in content)]

    def at(self, byte: int) -> int:
        return byte if self._characters is None else self._characters[byte]

    def span(self, node: Node) -> tuple[int, int]:
        return self.at(node.start_byte), self.at(node.end_byte)

    def line(self, position: int) -> int:
        return bisect_right(self.line_starts, position) - 1

    def line_end(self, position: int) -> int:
        """Where the line ends that `position` is in, its line break not included."""
        line = self.line(position)
        if line + 1 == len(self.line_starts):
            return len(self.text)
        end = self.line_starts[line + 1] - 1
        return max(position, end - (self.text[end - 1 : end + 1] == "\r\n"))

    def indentation(self, position: int) -> str | None:
        """What stands before a position in its line; None where that is more than blanks."""
        start = self.line_starts[self.line(position)]
        if position - start > _WIDEST_INDENTATION:
            return None
        before = self.text[start:position]
        return None if before.strip() else before

    def one_line(self, begin: int, end: int) -> str:
        """A stretch on one line, its beginning where it is very long."""
        return " ".join(self.text[begin:end].split())[:_LINE_CHARACTERS]


class _Unit(NamedTuple):
    """A function, a scope, or the file.

    Attributes:
        begin, end: of all its text, with the comments above it and the rest of its last line.
        within: units that are cut out of its text.
        scope: labels of the scopes around it, the outermost first; of a very long one its end.
        label: what it is called by (`class Menu`); the signature where its name does not end it.
        signature: what stands before its body, on one line, without modifiers and annotations.
        name: qualified name; empty for the file, as label and signature are.
    """

    node: Node
    begin: int
    end: int
    is_scope: bool
    within: "list[_Unit]"
    scope: str
    label: str
    signature: str
    name: str


def pieces(text: str, language: str, tokenizer: Tokenizer, max_tokens: int) -> list[Piece]:
    """Functions and scopes in the order of the file, after what stands between them; named by their qualified names.

    Their facts: `scope`, `signature`, `first_line` and `last_line`, counted from 1. Code that does not parse as a whole
    is read as far as it does.

    Args:
        language: one that `grammars.is_known`.
    """
    source = _Source(text, language)
    units = list(_units(source))
    headings = _headings(units, tokenizer, max_tokens // _HEADING_SHARE)
    bodies = [_body(source, unit, heading) for unit, heading in zip(units, headings, strict=True)]
    found: list[Piece] = []
    for unit, name, cut in zip(units, _names(units), split_all(bodies, tokenizer, max_tokens), strict=True):
        facts = _facts(source, unit)
        found += [piece.within(name, facts) for piece in cut]
    return found


def _names(units: Sequence[_Unit]) -> list[str]:
    """Names that differ: those of one name go by their signatures too, so that one more of them renames no other."""
    times = Counter(unit.name for unit in units)
    names = Names()
    return [
        names.add(unit.name if times[unit.name] == 1 else f"{unit.name}~{_hash(unit.signature)}") if unit.name else ""
        for unit in units
    ]


def _hash(signature: str) -> str:
    return blake2b(signature.encode(), digest_size=4).hexdigest()


def _headings(units: Sequence[_Unit], tokenizer: Tokenizer, limit: int) -> list[str]:
    long = [_SEPARATOR.join(filter(None, [unit.scope, unit.signature])) for unit in units]
    short = [unit.name for unit in units]
    counts = tokenizer.count([*long, *short])
    return [
        heading if count <= limit else name if short_count <= limit else ""
        for heading, name, count, short_count in zip(
            long, short, counts[: len(units)], counts[len(units) :], strict=True
        )
    ]


def _facts(source: _Source, unit: _Unit) -> dict[str, Any]:
    if not unit.name:
        return {}
    facts = {
        "signature": unit.signature,
        "first_line": source.line(unit.begin) + 1,
        "last_line": source.line(unit.end) + 1,
    }
    return {**facts, "scope": unit.scope} if unit.scope else facts


def _units(source: _Source) -> Iterator[_Unit]:
    """The file, then all units in their order."""
    root = source.tree.root_node
    found = [(*source.span(node), True, node) for node in source.captures["scope"] if node != root]
    found += [(*source.span(node), False, node) for node in source.captures["function"]]
    found.sort(key=lambda entry: (entry[0], -entry[1]))
    wrappers = sorted(source.span(node) for node in source.captures["wrapper"])
    leads = _leads(source)
    starts = [entry[0] for entry in found]
    file = _Unit(root, 0, len(source.text), True, [], "", "", "", "")
    units = [file]
    around = [file]
    for start, end, is_scope, node in found:
        while start >= around[-1].end:
            around.pop()
        parent = around[-1]
        body = _body_of(node)
        if not parent.is_scope or body is None:
            continue
        name, label_end = _name_of(source, node)
        lowest = parent.within[-1].end if parent.within else parent.begin
        if not name or start < lowest:
            continue
        bare = _bare_start(source, node)
        signature = _SIGNATURE_END.sub("", source.one_line(bare, source.at(body.start_byte)))
        unit = _Unit(
            node=node,
            begin=_begin(source, start, end, wrappers, leads, max(lowest, source.at(parent.node.start_byte))),
            end=_end(source, end, starts, parent.end),
            is_scope=is_scope,
            within=[],
            scope=_SEPARATOR.join(filter(None, [parent.scope, parent.label]))[-_LINE_CHARACTERS:],
            label=source.one_line(bare, label_end) if label_end else signature,
            signature=signature,
            name=".".join(filter(None, [parent.name, name]))[-_NAME_CHARACTERS:],
        )
        parent.within.append(unit)
        around.append(unit)
        units.append(unit)
    return iter(units)


def _leads(source: _Source) -> dict[int, int]:
    """Position of each comment that begins its line, by its last line."""
    found = {}
    for node in source.captures["lead"]:
        begin, end = source.span(node)
        if source.indentation(begin) is not None:
            found[source.line(begin + len(source.text[begin:end].rstrip()))] = begin
    return found


def _begin(
    source: _Source, start: int, end: int, wrappers: Sequence[tuple[int, int]], leads: dict[int, int], lowest: int
) -> int:
    """Where a definition begins with its decorators and the comments above it, but not before `lowest`."""
    last = bisect_left(wrappers, (start, 0))
    for begin, wrapper_end in reversed(wrappers[max(0, last - 3) : last + 1]):
        if lowest <= begin <= start and end <= wrapper_end <= source.line_end(end):
            start = begin
    indentation = source.indentation(start)
    if indentation is None:
        return start
    begin = start
    while (above := leads.get(source.line(begin) - 1)) is not None:
        if source.indentation(above) != indentation:
            break
        begin = above
    return max(lowest, begin - len(indentation))


def _end(source: _Source, end: int, starts: Sequence[int], highest: int) -> int:
    """Where the last line of a definition ends, unless the next definition begins in it."""
    line_end = source.line_end(end)
    following = bisect_left(starts, end)
    if following < len(starts) and starts[following] < line_end:
        return end
    return min(line_end, highest)


def _body_of(node: Node) -> Node | None:
    holder = node.child_by_field_name("value") or node
    body = holder.child_by_field_name("body")
    if body is None and holder.named_child_count:
        last = holder.named_child(holder.named_child_count - 1)
        body = last if last is not None and last.type.endswith(("body", "block")) else None
    return body


def _bare_start(source: _Source, node: Node) -> int:
    """Where a definition begins behind its modifiers and annotations."""
    for child in node.children:
        if child.type not in _MODIFIERS:
            return source.at(child.start_byte)
    return source.at(node.start_byte)


def _name_of(source: _Source, node: Node) -> tuple[str, int]:
    """Name of a definition, and where what it is called by ends (0: with its signature)."""
    if node.type == "impl_item":
        of = node.child_by_field_name("type")
        return (source.one_line(*source.span(of)) if of else ""), 0
    name = node.child_by_field_name("name")
    if name is None:
        inner = node
        while (declarator := inner.child_by_field_name("declarator")) is not None:
            inner = declarator
        name = inner if inner != node else next((child for child in node.named_children if _is_name(child)), None)
    if name is None:
        return "", 0
    found = source.one_line(*source.span(name)).replace("::", ".")
    receiver = node.child_by_field_name("receiver")
    of = _RECEIVER.search(source.one_line(*source.span(receiver))) if receiver else None
    return (f"{of[1]}.{found}" if of else found), source.at(name.end_byte)


def _is_name(node: Node) -> bool:
    return node.type.endswith(("identifier", "constant"))


def _body(source: _Source, unit: _Unit, heading: str) -> Body:
    """The text of a unit without the units within it, and how to find its statements."""
    edges = [unit.begin, *(edge for inner in unit.within for edge in (inner.begin, inner.end)), unit.end]
    spans: list[tuple[int, int]] = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        kept = trim_lines(source.text[begin:end])
        if kept:
            begin += source.text[begin:end].index(kept)
            spans.append((begin, begin + len(kept)))
    text = "\n".join(source.text[begin:end] for begin, end in spans)
    return Body(text, heading, Layout(_statements(source, unit, spans), trim_lines))


def _statements(
    source: _Source, unit: _Unit, spans: Sequence[tuple[int, int]]
) -> Callable[[str], Sequence[Sequence[int]]]:
    """Places where a statement begins a line, one list for each level of nesting, and then all lines."""

    def places(text: str) -> Sequence[Sequence[int]]:
        shifts = []  # from positions in the file to those in the text
        length = 0
        for begin, end in spans:
            shifts.append(length - begin)
            length += end - begin + 1
        begins = [begin for begin, _ in spans]
        levels: dict[int, set[int]] = {}
        for depth, position in _line_nodes(source, unit):
            number = bisect_right(begins, position) - 1
            if number >= 0 and position < spans[number][1]:
                levels.setdefault(depth, set()).add(position + shifts[number])
        return [*(sorted(levels[depth]) for depth in sorted(levels)), line_starts(text)]

    return places


def _line_nodes(source: _Source, unit: _Unit) -> Iterator[tuple[int, int]]:
    """Depth of each node that begins a line within a unit, and where that line begins."""
    hidden = [inner.begin for inner in unit.within]
    waiting = [(0, unit.node)]
    while waiting:
        depth, node = waiting.pop()
        for child in node.children:
            begin, end = source.span(child)
            number = bisect_right(hidden, begin) - 1
            if number >= 0 and end <= unit.within[number].end:
                continue
            indentation = source.indentation(begin)
            if indentation is not None:
                yield depth, begin - len(indentation)
            if child.start_point.row != child.end_point.row:
                waiting.append((min(depth + 1, _DEEPEST), child))
