"""Files of the project that pages link to, shown in the site, so that a link leads somewhere there as it does in a checkout.

What belongs here: finding links that leave this folder, a page (or a copy, of a picture) for each file they lead to, and
links that lead there. What does not: what any page says. A link to what is not there stays, and the strict build refuses it.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SHOWN_UNDER = "files"
PICTURES = {".png", ".jpg", ".svg"}
LANGUAGES = {
    ".py": "python",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".json": "json",
    ".toml": "toml",
    ".css": "css",
}

_LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file outside this folder that a page links to."""
    project = Path(config.docs_dir).parent
    linked = {
        path
        for page in files.documentation_pages()
        for path in map(_outside(page.src_uri), _LINK.findall(page.content_string))
        if path is not None and (project / path).is_file()
    }
    for path in sorted(linked):
        file = project / path
        if file.suffix in PICTURES:
            files.append(File.generated(config, f"{SHOWN_UNDER}/{path}", abs_src_path=str(file)))
        else:
            content = f"# {file.name}\n\n````{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text()}\n````\n"
            files.append(File.generated(config, f"{SHOWN_UNDER}/{path}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that leave this folder lead to the pages of those files."""
    here = posixpath.dirname(page.file.src_uri)

    def lead(link: re.Match[str]) -> str:
        path = _outside(page.file.src_uri)(link[1])
        for name in (f"{SHOWN_UNDER}/{path}.md", f"{SHOWN_UNDER}/{path}"):
            if path is not None and files.get_file_from_path(name) is not None:
                return f"]({posixpath.relpath(name, here or '.')})"
        return link[0]

    return _LINK.sub(lead, markdown)


def _outside(page: str) -> Callable[[str], str | None]:
    """What gives the path in the project that a link of this page leads to; None where it stays among the pages."""

    def path(link: str) -> str | None:
        whole = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
        return None if whole.startswith(("docs/", "../")) else whole

    return path
