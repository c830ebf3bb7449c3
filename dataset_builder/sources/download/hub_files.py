"""Files of a data set on the Hugging Face Hub, downloaded by ``huggingface_hub`` and checked against its SHA-256."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import FetchError, HubError
from dataset_builder.files.hub_errors import in_plain_words, patiently
from dataset_builder.files.progress import Progress, silent
from dataset_builder.sources.download.checksums import RemoteFile, check_digest, check_given, is_checked, note_checked


@dataclass(frozen=True)
class HubFile:
    """A file of a data set repository.

    Args:
        name: its path in the repository, and in the folder.
        hub: the repository, ``user/name``.
    """

    name: str
    hub: str
    bytes: int | None = None


def download_from_hub(file: HubFile, folder: Path, progress: Progress = silent) -> Path:
    """Get a file into a folder, unless it is there and checked. An interrupted download is resumed.

    Args:
        file: which.
        folder: made if absent.
        progress: called with the bytes that are here, and with those checked.

    Raises:
        FetchError: if the Hub does not give it, states no checksum, or it comes damaged.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        with in_plain_words(file.hub):
            url = hf_hub_url(file.hub, file.name, repo_type="dataset")
            stated = patiently(lambda: get_hf_file_metadata(url)).etag or ""
            if not re.fullmatch(r"[0-9a-f]{64}", stated):
                raise FetchError(
                    f"The Hub gives no SHA-256 for {file.name}.",
                    file=f"{file.hub}/{file.name}",
                    value=stated or "nothing",
                    remedy="A proxy may have removed it: try another network.",
                )
            wanted = RemoteFile(file.name, url, sha256=stated)
            target = folder / file.name
            if is_checked(target, wanted):
                return target
            if target.exists():  # put there by hand, or copied: the client would replace it
                check_given(target, wanted, progress)
                note_checked(target, wanted)
                return target
            bars = _bars(file.name, progress)
            patiently(
                lambda: hf_hub_download(
                    file.hub, file.name, repo_type="dataset", local_dir=folder, tqdm_class=bars, force_download=False
                )
            )
    except HubError as error:
        raise FetchError(error.problem, file=error.file or file.hub, value=error.value, remedy=error.remedy) from error
    check_digest(target, wanted, progress)
    note_checked(target, wanted)
    return target


def _bars(name: str, progress: Progress) -> Any:
    from tqdm import tqdm

    class Silent(tqdm):
        """Counts as the Hub's client tells it, and hands the count on instead of drawing."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs | {"disable": False, "gui": False})

        def display(self, *_: Any, **__: Any) -> bool:
            progress(name, int(self.n), int(self.total or 0))
            return True

        def clear(self, *_: Any, **__: Any) -> None:
            pass

    return Silent
