"""Code: nothing lost, never too long, and an edit in a function changes the chunks of that function only."""

import time
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunks import Chunk
from sync_assets.documents import Document, Part
from sync_assets.embedding import open_embedder

TOKENIZER = open_embedder("all-MiniLM-L6-v2").tokenizer
LANGUAGES = ["python", "c", "typescript", "java", "go", "shell"]
ALL_LANGUAGES = [
    *LANGUAGES,
    *("bash", "c#", "c++", "cpp", "csharp", "javascript", "jsx", "kotlin", "lua", "php", "ruby", "rust", "scala"),
    *("swift", "tsx"),
]

statements = st.lists(st.integers(0, 10_000), min_size=1, max_size=60)
# Names of functions with the numbers in their bodies; the second member says whether they are in a class.
functions = st.dictionaries(
    st.integers(0, 99).map(lambda number: f"work{number}"),
    st.tuples(st.booleans(), statements),
    min_size=1,
    max_size=8,
)


def document(text: str, language: str, path: str = "src/menu") -> Document:
    part = Part(path="code", role="code", text=text, metadata={"language": language, "path": path})
    return Document(tenant="acme", source="gitlab", stream="files", record_id="1", title="menu", parts=[part])


def chunks_of(text: str, language: str, max_tokens: int = 254) -> list[Chunk]:
    return chunk_document(document(text, language), TOKENIZER, ChunkLimits(max_tokens=max_tokens))


def body(chunk: Chunk) -> str:
    """The text of a chunk without the line that says what it is in."""
    facts = chunk.metadata
    if "signature" not in facts:
        return chunk.text
    heading = " > ".join(filter(None, [facts.get("scope"), facts["signature"]]))
    name = chunk.path.split("/")[1].partition("~")[0]
    for line in (heading, name):
        if chunk.text.startswith(f"{line}\n"):
            return chunk.text.removeprefix(f"{line}\n")
    return chunk.text


def characters(text: str) -> Counter[str]:
    return Counter("".join(text.split()))


def check_promises(found: list[Chunk], text: str, max_tokens: int) -> None:
    assert len({chunk.path for chunk in found}) == len(found)
    assert [chunk.tokens for chunk in found] == TOKENIZER.count([chunk.text for chunk in found])
    assert all(0 < chunk.tokens <= max_tokens for chunk in found)
    shown = sum((characters(body(chunk)) for chunk in found), Counter[str]())
    lost = characters(text) - shown
    # What has no token of its own (a zero-width space) gives no chunk where nothing stands beside it.
    assert not lost or TOKENIZER.count(["".join(lost.elements())]) == [0]
    assert not shown - characters(text)


def _indented(lines: list[str], depth: int) -> str:
    return "\n".join("    " * depth + line for line in lines)


def _python(name: str, numbers: list[int], in_class: bool) -> str:
    own = "self, " if in_class else ""
    lines = [f"def {name}({own}key):", *(f"    total = key + {number}  # ü" for number in numbers)]
    return _indented(lines, int(in_class))


def _braces(head: str, statement: str) -> Callable[[str, list[int], bool], str]:
    def render(name: str, numbers: list[int], in_class: bool) -> str:
        lines = [head.format(name=name), *("    " + statement.format(number=number) for number in numbers), "}"]
        return _indented(lines, int(in_class))

    return render


RENDER = {
    "python": _python,
    "c": _braces("static int {name}(int key)\n{{", "total = key + {number}; /* é */"),
    "typescript": _braces("{name}(key: number): number {{", "total = key + {number};"),
    "java": _braces("public int {name}(int key) {{", "total = key + {number};"),
    "go": _braces("func (m *Menu) {name}(key int) int {{", "total = key + {number}"),
    "shell": _braces("{name}() {{", "total=$((key + {number}))"),
}
CLASSES = {
    "python": ("class Menu(Base):\n    size = 4\n", ""),
    "typescript": ("export class Menu extends Base {\n    size = 4;\n", "}"),
    "java": ("public class Menu extends Base {\n    int size = 4;\n", "}"),
}


def source_of(named: dict[str, tuple[bool, list[int]]], language: str) -> str:
    """A file with a head, functions, and where the language has them the same class around some."""
    render = RENDER[language]
    begin, end = CLASSES.get(language, ("", ""))
    # Java has no functions outside of classes, and those of TypeScript look different.
    only_class = language in ("java", "typescript")
    inside = [render(name, numbers, bool(begin)) for name, (within, numbers) in named.items() if within or only_class]
    outside = [render(name, numbers, False) for name, (within, numbers) in named.items() if not (within or only_class)]
    head = {"c": "#include <stdio.h>", "go": "package main", "shell": "set -e"}.get(language, "import base")
    blocks = [head, *outside, begin, *inside, end] if inside else [head, *outside]
    return "\n\n".join(block for block in blocks if block) + "\n"


@pytest.mark.parametrize("language", LANGUAGES)
@given(named=functions, max_tokens=st.sampled_from([16, 48, 254]), ends=st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=25, deadline=None)
def test_code_is_kept_whole_within_the_limit(
    language: str, named: dict[str, tuple[bool, list[int]]], max_tokens: int, ends: str
) -> None:
    text = source_of(named, language).replace("    ", "\t").replace("\n", ends)
    check_promises(chunks_of(text, language, max_tokens), text, max_tokens)


@pytest.mark.parametrize("language", LANGUAGES)
@given(named=functions, data=st.data(), max_tokens=st.sampled_from([48, 254]))
@settings(max_examples=25, deadline=None)
def test_an_edit_in_a_function_changes_the_chunks_of_that_function_only(
    language: str, named: dict[str, tuple[bool, list[int]]], data: st.DataObject, max_tokens: int
) -> None:
    name = data.draw(st.sampled_from(sorted(named)))
    edited = {**named, name: (named[name][0], data.draw(statements))}
    before, after = (
        {(chunk.path, chunk.text) for chunk in chunks_of(source_of(each, language), language, max_tokens)}
        for each in (named, edited)
    )
    assert {path.split("/")[1].rpartition(".")[2] for path, _ in before ^ after if "/" in path} <= {name}
    assert {path for path, _ in before ^ after if "/" not in path} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_statement_changed_in_a_long_function_changes_few_of_its_chunks(language: str) -> None:
    numbers = list(range(1000, 1300))
    before, after = (
        {chunk.text for chunk in chunks_of(source_of({"work": (True, each)}, language), language, 96)}
        for each in (numbers, [*numbers[:150], 7, *numbers[150:]])
    )
    assert len(before) > 20
    assert 1 <= len(after - before) <= 3


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=600)
    | st.lists(st.sampled_from([*"{}()[]<>;:=.,'\"#/*\\ \t\n\r@", "def ", "class ", "é", "名"]), max_size=200).map(
        "".join
    ),
    st.sampled_from(ALL_LANGUAGES),
    st.sampled_from([16, 254]),
)
@settings(max_examples=150, deadline=None)
def test_text_that_is_no_code_is_kept_whole_too(text: str, language: str, max_tokens: int) -> None:
    check_promises(chunks_of(text, language, max_tokens), text, max_tokens)


@given(st.sampled_from(LANGUAGES), st.data())
@settings(max_examples=60, deadline=None)
def test_code_broken_off_anywhere_is_kept_whole(language: str, data: st.DataObject) -> None:
    text = source_of({"work1": (True, [1, 2, 3]), "work2": (False, [4]), "work3": (True, [5])}, language)
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    for kept in (text[begin:end], text[:begin] + text[end:]):
        check_promises(chunks_of(kept, language, 32), kept, 32)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("(" * 20_000, "python"),
        ("x = " + "[" * 5000 + "]" * 5000, "python"),
        ("{" * 20_000 + "}" * 20_000, "c"),
        ("if x then\n" * 3000, "lua"),
        ("function f(){" * 3000 + "}" * 3000, "javascript"),
        ("".join(f"{' ' * depth}if x:\n" for depth in range(300)) + " " * 300 + "pass", "python"),
        ("int x" + ";" * 50_000, "c"),
        ("f();" * 20_000, "typescript"),
    ],
)
def test_deep_and_wide_code_is_kept_whole(text: str, language: str) -> None:
    check_promises(chunks_of(text, language, 64), text, 64)


def test_a_python_file_is_cut_into_its_functions_and_classes() -> None:
    text = '''"""Menus."""
import base

SIZE = 4

# Opens them all.
@cache
def open_all(menus,
             key) -> int:
    return len(menus)  # all

class Menu(Base):
    """One menu."""

    def open(self, key):
        def later():
            return key
        return later

LAST = 5
'''
    found = {chunk.path: chunk for chunk in chunks_of(text, "python")}
    assert {path: chunk.text for path, chunk in found.items()} == {
        "code": '"""Menus."""\nimport base\n\nSIZE = 4\nLAST = 5',
        "code/open_all": "def open_all(menus, key) -> int\n# Opens them all.\n@cache\ndef open_all(menus,\n"
        "             key) -> int:\n    return len(menus)  # all",
        "code/Menu": 'class Menu(Base)\nclass Menu(Base):\n    """One menu."""',
        "code/Menu.open": "class Menu > def open(self, key)\n    def open(self, key):\n        def later():\n"
        "            return key\n        return later",
    }
    assert found["code/Menu.open"].strategy == "code/1"
    assert found["code/Menu.open"].metadata == {
        "language": "python",
        "path": "src/menu",
        "scope": "class Menu",
        "signature": "def open(self, key)",
        "first_line": 15,
        "last_line": 18,
    }


@pytest.mark.parametrize(
    ("language", "text", "paths"),
    [
        ("c", "typedef struct item { int a; } item_t;\nint *find(item_t *i)\n{ return 0; }", ["item", "find"]),
        ("cpp", "namespace net {\nvoid Menu::open() {\n}\n~Menu() {}\n}", ["net", "net.Menu.open"]),
        ("typescript", "export const run = (a) => {\n};\nexport class A {\n  b() {}\n}", ["run", "A", "A.b"]),
        ("java", "class A {\n void b(int c) {}\n void d() {}\n}", ["A", "A.b", "A.d"]),
        ("go", "func (m *Menu[T]) Open() {\n}\nfunc main() {\n}", ["Menu.Open", "main"]),
        ("shell", "work() {\n echo a\n}\nfunction b {\n echo b\n}", ["work", "b"]),
        ("rust", "impl Show for Menu {\n fn open(&self) -> Vec<u8> { a }\n}", ["Menu", "Menu.open"]),
        ("ruby", "module A\n class B\n  def c(d)\n   d\n  end\n end\nend", ["A", "A.B", "A.B.c"]),
        ("kotlin", "class A {\n fun b(): Int = 1\n}", ["A", "A.b"]),
        ("swift", "class A {\n init(a: Int) { b() }\n func c() { d() }\n}", ["A", "A.init", "A.c"]),
        ("php", "<?php\nclass A { \n function b() { c(); }\n}", ["A", "A.b"]),
        ("csharp", "namespace N {\n class A {\n  int B(int c) { return c; }\n }\n}", ["N", "N.A", "N.A.B"]),
        ("scala", "object O {\n def f(x: Int): Int = x\n}", ["O", "O.f"]),
        ("lua", "function M.open(k)\n return k\nend", ["M.open"]),
    ],
)
def test_names_are_those_of_the_language(language: str, text: str, paths: list[str]) -> None:
    found = [chunk.path.removeprefix("code/") for chunk in chunks_of(text, language)]
    assert [path for path in found if path in paths] == paths


def test_functions_of_one_name_are_told_apart_by_their_signatures() -> None:
    overloads = [f"  void send({kind} value) {{ put(value); }}\n" for kind in ("int", "long", "String")]

    def paths(*kept: str) -> dict[str, str]:
        found = chunks_of(f"class Menu {{\n{''.join(kept)}}}\n", "java")
        return {chunk.text: chunk.path for chunk in found if "send" in chunk.path}

    two, three = paths(*overloads[1:]), paths(*overloads)
    assert len(set(two.values())) == 2
    assert all(path.startswith("code/Menu.send~") for path in three.values())
    assert {text: three[text] for text in two} == two


def test_functions_of_one_name_and_signature_are_told_apart_in_their_order() -> None:
    text = "def work():\n    return 1\n\ndef work():\n    return 2\n"
    first, second = chunks_of(text, "python")
    assert first.path.startswith("code/work~")
    assert (second.path, second.text) == (f"{first.path}~2", "def work()\ndef work():\n    return 2")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("(" * 100_000, "python"),
        ("{" * 50_000 + "}" * 50_000, "javascript"),
        ("class A {f(){" * 5_000 + "}}" * 5_000, "java"),
    ],
)
def test_what_nests_without_end_is_cut_in_time(text: str, language: str) -> None:
    started = time.process_time()
    chunk_document(document(text, language), open_embedder("hash-64").tokenizer, ChunkLimits(max_tokens=254))
    assert time.process_time() - started < 5


def test_a_file_that_moves_and_lines_that_move_embed_nothing() -> None:
    text = source_of({"work1": (True, [1]), "work2": (False, list(range(90)))}, "python")
    before = chunks_of(text, "python", 64)
    moved = chunk_document(document("\n\n\n" + text, "python", "lib/other.py"), TOKENIZER, ChunkLimits(max_tokens=64))
    assert [(chunk.path, chunk.text) for chunk in moved] == [(chunk.path, chunk.text) for chunk in before]
    assert {chunk.metadata["path"] for chunk in moved} == {"lib/other.py"}
    lines = [chunk.metadata["first_line"] for chunk in before if "first_line" in chunk.metadata]
    assert [chunk.metadata["first_line"] for chunk in moved if "first_line" in chunk.metadata] == [
        line + 3 for line in lines
    ]


def test_a_long_function_is_cut_between_statements() -> None:
    calls = "\n".join(f"    if ready({n}):\n        start({n})\n        wait({n})" for n in range(40))
    found = chunks_of(f"def work():\n{calls}\n", "python", 96)
    assert len(found) > 4
    for chunk in found[1:]:
        assert chunk.text.startswith("def work()\n    if ready(")


@pytest.mark.parametrize("metadata", [{"language": "brainfuck"}, {"language": ""}, {}])
def test_code_in_an_unknown_language_is_plain_text(metadata: dict[str, str]) -> None:
    part = Part(path="code", role="code", text="++[>++<-]", metadata=metadata)
    source = document("", "python").model_copy(update={"parts": [part]})
    [chunk] = chunk_document(source, TOKENIZER, ChunkLimits(max_tokens=64))
    assert (chunk.path, chunk.text, chunk.strategy) == ("code", "++[>++<-]", "plain/1")
