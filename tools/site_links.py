"""A hook of mkdocs: files of the project's root that are pages of the site are linked as such.

So the same link works where the files are read as they are, and on the site. What of the project is no page of the site
(the examples, the benchmarks) is named there without a link.
"""

from __future__ import annotations

import re
from typing import Any

_BESIDE = re.compile(r"\[([^\]]+)\]\(\.\./((?:examples|benchmarks|tests|plugin)[^)]*)\)")

PAGES = {"../README.md": "index.md", "../CONTRIBUTING.md": "contributing.md", "../CHANGELOG.md": "changelog.md"}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page's text with links to its neighbours; pages in folders have none of these."""
    if "/" not in page.file.src_uri:
        for file, name in PAGES.items():
            markdown = markdown.replace(f"]({file}", f"]({name}")
        markdown = _BESIDE.sub(_to_name, markdown)
    return markdown


def _to_name(link: re.Match[str]) -> str:
    text, path = link.groups()
    return text if text.strip("`") == path else f"{text} (`{path}`)"
