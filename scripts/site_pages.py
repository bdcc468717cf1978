"""Pages of the documentation site that are not in docs/: a hook of MkDocs, see mkdocs.yml.

The home page is README.md. An API page lists all modules of a package, so a new module needs no page.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[1]
_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the root -> pages of the site."""

_API = ("models", "features", "scoring", "labels", "stats", "images", "enhance", "personal", "reports")
"""Packages with a page of the API reference: what Python code outside nimakit may want to use."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for source, page in _PAGES.items():
        text = (_ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=_relink(text, source)))
    for name, modules in _api_modules().items():
        title = "nimakit" if name == "nimakit" else f"nimakit.{name}"
        text = "\n\n".join([f"# {title}", *(f"::: {module}" for module in modules)])
        files.append(File.generated(config, f"api/{name}.md", content=text + "\n"))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/ to pages of the site."""
    del config, files
    return _relink(markdown, f"docs/{page.file.src_uri}") if page.file.generated_by is None else markdown


def _relink(markdown: str, source: str) -> str:
    """Turn the links of a file into links of the site, or into text where they lead to no page."""

    def replace(link: re.Match[str]) -> str:
        text, path, anchor = link["text"], link["path"], link["anchor"] or ""
        target = (_ROOT / source).parent.joinpath(path).resolve().relative_to(_ROOT).as_posix()
        if target in _PAGES:
            return f"{text}({_PAGES[target]}{anchor})"
        if target.startswith("docs/"):
            return f"{text}({target.removeprefix('docs/')}{anchor})"
        return text.removeprefix("[").removesuffix("]")

    pattern = r"(?P<text>\[[^\[\]]*\])\((?P<path>(?![a-z]+:)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)"
    return re.sub(pattern, replace, markdown)


def _api_modules() -> dict[str, list[str]]:
    """Pages of the API reference -> their modules."""
    package = _ROOT / "src" / "nimakit"
    pages = {"nimakit": ["nimakit"], "errors": ["nimakit.errors"]}
    for name in _API:
        modules = sorted(path.stem for path in (package / name).glob("[!_]*.py"))
        pages[name] = [f"nimakit.{name}.{module}" for module in modules]
    return pages
