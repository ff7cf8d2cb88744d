"""Files beside docs/ that are pages of the site too, and the links between all of them."""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    "methods/corrkd.md": "plugins/mmsa-corrkd/README.md",
    "methods/dmd.md": "plugins/mmsa-dmd/README.md",
    "project/readme.md": "README.md",
    "project/security.md": "SECURITY.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "project/changelog.md": "CHANGELOG.md",
    "project/changelog-corrkd.md": "plugins/mmsa-corrkd/CHANGELOG.md",
    "project/changelog-dmd.md": "plugins/mmsa-dmd/CHANGELOG.md",
}
"""Page of the site: the file that it is."""
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"(^```.*?^```)", re.M | re.S)


def pages() -> dict[str, str]:
    """Each page's text."""
    return {page: (ROOT / file).read_text(encoding="utf-8") for page, file in PAGES.items()}


def relinked(text: str, page: str) -> str:
    """The text of a page whose links to files lead to their pages; what is no page is named, not linked."""
    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(lambda m: _link(m, page), part) for part in parts)


def _link(found: re.Match[str], page: str) -> str:
    label, target, anchor = found[1], found[2], found[3] or ""
    folder = posixpath.dirname(PAGES.get(page, f"docs/{page}"))
    file = posixpath.normpath(posixpath.join(folder, target))
    made = {source: name for name, source in PAGES.items()}
    leads = made.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
    if leads is None:
        return label
    return f"[{label}]({posixpath.relpath(leads, posixpath.dirname(page) or '.')}{anchor})"
