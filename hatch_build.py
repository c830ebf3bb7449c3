"""Metadata of a release: the README as a package index shows it, with links and images that work from there.

A package index shows images by absolute addresses only, and a checkout does not know where it is published: a release
names it in the variable ``MIS_GROUND_REPOSITORY`` (``make release REPOSITORY=...``). Without it links stay as they are.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<before>!?\[[^\]]*\]\(|^\[[^\]]+\]:\s+)(?P<target>(?![a-z]+:|#)[^)\s]+)", re.MULTILINE)
"""The target of an inline link or image, or of a reference, that is neither absolute nor within the page."""
EXPLAINED = " `REPOSITORY` stands for the address of this repository."
"""What the README says for want of an address."""
IMAGES = (".png", ".svg", ".jpg")


def with_absolute_links(text: str, repository: str, tag: str) -> str:
    """The README with every relative link made absolute, to files as of a tag.

    Args:
        text: Markdown.
        repository: address of the repository's page, on GitHub or a forge with the same addresses.
        tag: of the release.
    """

    def absolute(match: re.Match[str]) -> str:
        kind = "raw" if match["target"].partition("#")[0].endswith(IMAGES) else "blob"
        return f"{match['before']}{repository.rstrip('/')}/{kind}/{tag}/{match['target']}"

    return LINK.sub(absolute, text)


class ReleaseMetadata(MetadataHookInterface):
    """Fills in the description, and the project's addresses where they are known."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling with the table ``project`` of pyproject.toml."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        repository = os.environ.get("MIS_GROUND_REPOSITORY", "").rstrip("/")
        if repository:
            tag = f"v{metadata['version']}"
            text = with_absolute_links(text, repository, tag).replace(EXPLAINED, "").replace("REPOSITORY", repository)
            metadata["urls"] = {"Source": repository, "Changes": f"{repository}/blob/{tag}/CHANGELOG.md"}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
