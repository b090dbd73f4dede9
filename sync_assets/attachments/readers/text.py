"""Text: Markdown, code, and whatever else is written to be read as it stands."""

from sync_assets.attachments.extracted import ExtractedPart
from sync_assets.attachments.kinds import File
from sync_assets.attachments.reading import Reading

_MARKDOWN = {".md", ".markdown", ".mdown"}
_CODE = {
    ".bash": "bash",
    ".c": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".cs": "csharp",
    ".go": "go",
    ".h": "c",
    ".hpp": "cpp",
    ".java": "java",
    ".js": "javascript",
    ".jsx": "javascript",
    ".kt": "kotlin",
    ".lua": "lua",
    ".mjs": "javascript",
    ".php": "php",
    ".pl": "perl",
    ".py": "python",
    ".rb": "ruby",
    ".rs": "rust",
    ".scala": "scala",
    ".sh": "bash",
    ".sql": "sql",
    ".swift": "swift",
    ".ts": "typescript",
    ".tsx": "tsx",
}


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One part, `body`: Markdown or code where the name says so, plain text otherwise."""
    if file.suffix in _MARKDOWN:
        return [ExtractedPart("body", "body", file.text, {})]
    if language := _CODE.get(file.suffix):
        return [ExtractedPart("body", "code", file.text, {"language": language})]
    return [ExtractedPart("body", "description", file.text, {})]
