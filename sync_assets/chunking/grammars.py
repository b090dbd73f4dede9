"""What is known of each programming language: its grammar, and the names that grammars give to definitions."""

from functools import cache

from tree_sitter import Language, Parser, Query
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

_FUNCTION_VALUES = """
(lexical_declaration
  (variable_declarator name: (identifier) value: [(arrow_function) (function_expression)]) @function) @wrapper
"""


def is_known(language: str) -> bool:
    """Whether code in a language can be read, by the name that GitLab or a file's ending gives it."""
    return language.lower() in _GRAMMARS


@cache
def grammar(language: str) -> tuple[Parser, Query]:
    """Parser of a known language, and the query that finds `function`, `scope`, `lead` and `wrapper` in its trees."""
    name = _GRAMMARS[language.lower()]
    read = get_language(name)  # pyright: ignore[reportArgumentType]
    patterns = [
        _pattern(read, kinds, capture)
        for kinds, capture in ((_FUNCTIONS, "function"), (_SCOPES, "scope"), (_LEADS, "lead"), (_WRAPPERS, "wrapper"))
    ]
    if name in ("javascript", "typescript", "tsx"):
        patterns.append(_FUNCTION_VALUES)
    return Parser(read), Query(read, "\n".join(patterns))


def _pattern(read: Language, kinds: tuple[str, ...], capture: str) -> str:
    found = [f"({kind})" for kind in kinds if read.id_for_node_kind(kind, True) is not None]
    return f"[{' '.join(found)}] @{capture}" if found else ""
