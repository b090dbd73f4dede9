"""What is known of each programming language: its grammar, and what its trees hold of definitions."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from tree_sitter import Node, Parser, Tree
from tree_sitter_language_pack import get_language

# Names of languages as systems write them, and the grammars that read them.
_GRAMMARS = {
    "bash": "bash",
    "c": "c",
    "c#": "csharp",
    "c++": "cpp",
    "cpp": "cpp",
    "csharp": "csharp",
    "go": "go",
    "java": "java",
    "javascript": "javascript",
    "jsx": "javascript",
    "kotlin": "kotlin",
    "lua": "lua",
    "php": "php",
    "python": "python",
    "ruby": "ruby",
    "rust": "rust",
    "scala": "scala",
    "shell": "bash",
    "swift": "swift",
    "tsx": "tsx",
    "typescript": "typescript",
}

_FUNCTIONS = (
    "compact_constructor_declaration",
    "constructor_declaration",
    "deinit_declaration",
    "destructor_declaration",
    "function_declaration",
    "function_definition",
    "function_item",
    "generator_function_declaration",
    "init_declaration",
    "method",
    "method_declaration",
    "method_definition",
    "secondary_constructor",
    "singleton_method",
)
_SCOPES = (
    "abstract_class_declaration",
    "class",
    "class_declaration",
    "class_definition",
    "class_specifier",
    "companion_object",
    "enum_declaration",
    "enum_definition",
    "enum_item",
    "enum_specifier",
    "extension_definition",
    "impl_item",
    "interface_declaration",
    "internal_module",
    "mod_item",
    "module",
    "namespace_declaration",
    "namespace_definition",
    "object_declaration",
    "object_definition",
    "protocol_declaration",
    "record_declaration",
    "singleton_class",
    "struct_declaration",
    "struct_item",
    "struct_specifier",
    "trait_declaration",
    "trait_definition",
    "trait_item",
    "union_specifier",
)
# What stands right above a definition and belongs to it, and what a definition may be wrapped in.
_LEADS = ("attribute_item", "block_comment", "comment", "decorator", "line_comment", "multiline_comment")
_WRAPPERS = ("decorated_definition", "export_statement", "template_declaration", "type_definition")

# What gives functions names as values, in the grammars that have it, and those functions.
_VALUES = ("lexical_declaration",)
_FUNCTION_VALUES = ("arrow_function", "function_expression")

_CAPTURES = {
    kind: capture
    for capture, kinds in (
        ("function", _FUNCTIONS),
        ("scope", _SCOPES),
        ("lead", _LEADS),
        ("wrapper", _WRAPPERS),
        ("values", _VALUES),
    )
    for kind in kinds
}


def is_known(language: str) -> bool:
    """Whether code in a language can be read, by the name that GitLab or a file's ending gives it."""
    return language.lower() in _GRAMMARS


def read(code: bytes, language: str) -> tuple[Tree, Mapping[str, list[Node]]]:
    """The tree of code in a known language, and its nodes by what they are: `function`, `scope`, `lead`, `wrapper`."""
    parser, captures = _grammar(language)
    tree = parser.parse(code)
    return tree, _captured(tree.root_node, captures)


@cache
def _grammar(language: str) -> tuple[Parser, dict[int, str]]:
    """Parser of a language, and by the id of a node's kind what such nodes are."""
    known = get_language(_GRAMMARS[language.lower()])  # pyright: ignore[reportArgumentType]
    captures: dict[int, str] = {}
    for number in range(known.node_kind_count):
        capture = _CAPTURES.get(known.node_kind_for_id(number) or "")
        if capture is not None and known.node_kind_is_named(number):
            captures[number] = capture
    return Parser(known), captures


def _captured(root: Node, captures: Mapping[int, str]) -> Mapping[str, list[Node]]:
    """Nodes by what they are. One walk, since a query takes time with the square of what nests or stands in a row."""
    found: defaultdict[str, list[Node]] = defaultdict(list)
    cursor = root.walk()
    while True:
        node = cursor.node
        if node is not None and (capture := captures.get(node.kind_id)) is not None:
            found[capture].append(node)
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                _add_values(found)
                return found


def _add_values(found: Mapping[str, list[Node]]) -> None:
    """Functions that a declaration gives names as values; it is what they are wrapped in."""
    for declaration in found["values"]:
        functions = [child for child in declaration.named_children if _is_function_value(child)]
        found["function"].extend(functions)
        found["wrapper"].extend([declaration] if functions else [])


def _is_function_value(node: Node) -> bool:
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    return name is not None and name.type == "identifier" and value is not None and value.type in _FUNCTION_VALUES
