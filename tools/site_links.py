"""A hook of mkdocs: files of the project's root that are pages of the site are linked as such.

So the same link works where the files are read as they are, and on the site.
"""

from __future__ import annotations

from typing import Any

PAGES = {"../README.md": "index.md", "../CONTRIBUTING.md": "contributing.md", "../CHANGELOG.md": "changelog.md"}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page's text with links to its neighbours; pages in folders have none of these."""
    if "/" not in page.file.src_uri:
        for file, name in PAGES.items():
            markdown = markdown.replace(f"]({file}", f"]({name}")
    return markdown
