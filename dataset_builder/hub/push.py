"""Pushing a data set folder to the Hub: one commit or pull request, whole or not at all.

Large files are uploaded first, by their content: the Hub shows none of them before the commit, and one that it has is
not sent again. So an interrupted push resumes, and after any error the repository is as it was before,
or complete. What the Hub holds already (other splits, an edited card) is kept: see :mod:`dataset_builder.hub.plan`.
"""

import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from huggingface_hub.utils.sha import git_hash

from dataset_builder.core.errors import BuildError, HubError
from dataset_builder.core.factors import INPUT_CONFIGS
from dataset_builder.dataset.card import CARD_NAME
from dataset_builder.dataset.licences import licence
from dataset_builder.dataset.manifest import (
    QUARANTINE_NAME,
    RECORD_NAME,
    BuildNote,
    Record,
    audit_of,
    read_record,
    record_from_text,
)
from dataset_builder.files.hub_errors import in_plain_words, patiently, refined
from dataset_builder.files.paths import PathLike
from dataset_builder.files.progress import Progress, silent
from dataset_builder.hub.plan import (
    Plan,
    Remote,
    RemoteFile,
    choose,
    forbidden_sources,
    make_plan,
    prepare,
)

DATASET = "dataset"
BATCH_FILES, BATCH_BYTES = 16, 1_000_000_000
"""How much is uploaded between two calls of the progress."""


@dataclass(frozen=True)
class Pushed:
    """Result of a push, or of a dry run.

    Args:
        place: the repository.
        plan: what was to be done.
        commit: its hash; ``None`` after a dry run.
        url: address of the commit or the pull request.
        tag: its git tag; ``None`` if there is none.
        created: whether the repository is new.
        private: whether the repository is private.
    """

    place: str
    plan: Plan
    commit: str | None
    url: str
    tag: str | None
    created: bool
    private: bool = True


def push(
    folder: PathLike,
    place: str,
    *,
    only: Sequence[str] = (),
    config: str | None = None,
    private: bool = True,
    create_pr: bool = False,
    replace_splits: bool = False,
    dry_run: bool = False,
    tag: str | None = None,
    message: str | None = None,
    accepted_licences: Collection[str] = (),
    audit: PathLike | None = None,
    progress: Progress = silent,
    api: HfApi | None = None,
) -> Pushed:
    """Push a data set folder, or some of its splits.

    Args:
        folder: as ``mis-ground build`` makes it.
        place: the repository, ``user/name``; created if it does not exist.
        only: configs and splits to push, such as ``ct_axial`` or ``*/*_mask``; all if empty.
        config: put all questions into the split ``test`` of a config of this name.
        private: whether a new repository is private; an existing one keeps its visibility.
        create_pr: propose the change instead of making it.
        replace_splits: whether splits that have other content on the Hub may be replaced.
        dry_run: only say what would be done.
        tag: name of the git tag; made of the versions of data and content if not given.
        message: of the commit.
        accepted_licences: licences under which images are redistributed although they are not known to allow it.
        audit: report of ``mis-ground check`` to put into the card.
        progress: called after every batch, with bytes.
        api: client of the Hub.

    Raises:
        DatasetNotFoundError: if the folder is not a data set.
        BuildError: if ``only`` or ``config`` names nothing that can be, or the audit is of other data.
        HubError: if a licence forbids it, or the Hub does; then the repository is as it was.
    """
    _check_names(place, config, tag)
    folder, record = Path(folder), read_record(Path(folder))
    if audit is not None:
        found = audit_of(Path(audit), record.content)
        record = replace(record, builds=tuple(replace(build, audit=found) for build in record.builds))
    keys = choose(record, only)
    _check_licences(folder, record, keys, accepted_licences)
    api = api or HfApi(library_name="mis-ground")
    with tempfile.TemporaryDirectory(prefix="mis-ground-push-") as work, _quiet():
        local = prepare(folder, record, keys, config, Path(work))
        local = replace(local, record=_with_shown_examples(local.record, accepted_licences))
        with in_plain_words(place):
            remote = read_remote(api, place)
        if create_pr and remote.head is None:
            raise HubError(
                f"There is no {place} to propose a change to.", remedy="Push without --create-pr to create it."
            )
        plan = make_plan(local, remote, place, replace_splits)
        if dry_run:
            return Pushed(
                place, plan, None, "", tag or plan.tag, remote.head is None, remote.private if remote.head else private
            )
        return _execute(api, place, plan, remote, private, create_pr, tag or plan.tag, message, progress)


def _check_names(place: str, config: str | None, tag: str | None) -> None:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        raise BuildError(
            "A repository is named user/name.", value=place, remedy="Example: mis-ground push me/mis-ground."
        )
    if config is not None:
        taken = config in ("all", "slices", "data", "examples", *INPUT_CONFIGS) or config.endswith("_slices")
        if taken or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", config) or re.fullmatch(r"(ct|mri)_[a-z]+", config):
            raise BuildError(
                "A config cannot have this name.",
                value=config,
                remedy="Use letters, digits, - and _, and none of MIS-Ground's own names.",
            )
    if tag is not None and not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", tag):
        raise BuildError("A tag cannot have this name.", value=tag, remedy="Use letters, digits, '.', '-' and '_'.")


def _check_licences(folder: Path, record: Record, keys: Sequence[Any], accepted: Collection[str]) -> None:
    if not all(build.pictures for build in record.builds):
        return
    known = {name.casefold() for name in accepted}
    forbidden = {k: v for k, v in forbidden_sources(folder, record, keys).items() if k.casefold() not in known}
    if forbidden:
        name, source = next(iter(forbidden.items()))
        raise HubError(
            f"The licence of the source '{source}' does not allow redistributing its images; nothing was sent.",
            value="; ".join(f"{of}: {what}" for what, of in forbidden.items()),
            remedy="Push a recipe, which leaves out the images (--recipe), or other splits (--only). If you have "
            f"the right to pass them on, say so: --accept-licence '{name}'.",
        )


def _with_shown_examples(record: Record, accepted: Collection[str]) -> Record:
    """Without example images that may not be redistributed, which can be of other splits than those that are pushed."""
    known = {name.casefold() for name in accepted}

    def shown(build: BuildNote) -> BuildNote:
        examples = [e for e in build.examples if licence(e.licence).share or e.licence.casefold() in known]
        return replace(build, examples=tuple(examples))

    return replace(record, builds=tuple(map(shown, record.builds)))


class _quiet:  # noqa: N801 - used as a context manager
    """No progress bars but ours."""

    def __enter__(self) -> None:
        self._were_on = not are_progress_bars_disabled()
        if self._were_on:
            disable_progress_bars()

    def __exit__(self, *_: object) -> None:
        if self._were_on:
            enable_progress_bars()


# -------------------------------------------------------------------------------------------------------- what is there


def read_remote(api: HfApi, place: str) -> Remote:
    """What is on the Hub."""
    try:
        info = patiently(lambda: api.repo_info(place, repo_type=DATASET))
    except RepositoryNotFoundError:
        return Remote()
    head = info.sha
    files = patiently(lambda: _files(api, place, head))
    with tempfile.TemporaryDirectory() as folder:

        def text(name: str) -> str | None:
            if name not in files:
                return None
            path = patiently(
                lambda: api.hf_hub_download(place, name, repo_type=DATASET, revision=head, local_dir=folder)
            )
            return Path(path).read_text(encoding="utf-8")

        record, card, quarantine = text(RECORD_NAME), text(CARD_NAME), text(QUARANTINE_NAME)
    try:
        known = None if record is None else record_from_text(record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HubError(
            f"The record {RECORD_NAME} of {place} cannot be read.",
            value=str(error),
            remedy="It may be of another version of MIS-Ground: update, or push to another repository.",
        ) from error
    return Remote(head, files, known, card, tuple((quarantine or "").splitlines()), bool(info.private))


def _files(api: HfApi, place: str, revision: str | None) -> dict[str, RemoteFile]:
    entries = api.list_repo_tree(place, repo_type=DATASET, revision=revision, recursive=True)
    return {
        entry.path: RemoteFile(entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
        for entry in entries
        if isinstance(entry, RepoFile)
    }


# -------------------------------------------------------------------------------------------------------------- sending


def _execute(
    api: HfApi,
    place: str,
    plan: Plan,
    remote: Remote,
    private: bool,
    create_pr: bool,
    tag: str,
    message: str | None,
    progress: Progress,
) -> Pushed:
    head = remote.head

    def state() -> str:
        return _state(api, place, remote.head, head)

    with in_plain_words(place, state):
        if head is None:
            patiently(lambda: api.create_repo(place, repo_type=DATASET, private=private, exist_ok=True))
            head = patiently(lambda: api.repo_info(place, repo_type=DATASET)).sha
        commit, url = head, f"{api.endpoint}/datasets/{place}"
        if not plan.empty:
            commit, url = _commit(api, place, plan, head, create_pr, message or _message(plan), progress)
    if not create_pr:
        _make_tag(api, place, tag, commit)
    seen = remote.private if remote.head else private
    return Pushed(place, plan, commit, url, None if create_pr else tag, remote.head is None, seen)


def _commit(
    api: HfApi, place: str, plan: Plan, head: str | None, create_pr: bool, message: str, progress: Progress
) -> tuple[str, str]:
    """Upload and commit; returns the commit and where to look at it."""
    data = [CommitOperationAdd(path, str(here)) for path, here in plan.data.items()]
    total, sent = sum(add.upload_info.size for add in data), 0
    progress("upload", 0, total)
    for batch in _batches(data):
        # Each request is tried again by the client itself.
        api.preupload_lfs_files(place, batch, repo_type=DATASET, create_pr=create_pr, free_memory=False)
        sent += sum(add.upload_info.size for add in batch)
        progress("upload", sent, total)
    proposals = _proposals(api, place) if create_pr else {}
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        *data,
        *(CommitOperationAdd(path, content) for path, content in plan.texts.items()),
        *(CommitOperationDelete(path) for path in plan.deleted),
    ]

    def act() -> tuple[str, str]:
        made = api.create_commit(
            place,
            list(operations),
            commit_message=message,
            commit_description=f"Content {plan.record.content}. Made by MIS-Ground.",
            repo_type=DATASET,
            parent_commit=head,
            create_pr=create_pr,
        )
        return made.oid, made.pr_url or str(made.commit_url)

    def settled() -> tuple[str, str] | None:
        """Whether the commit was made although its answer was lost."""
        if create_pr:
            candidates = {oid: ref for ref, oid in _proposals(api, place).items() if ref not in proposals}
        else:
            now = api.repo_info(place, repo_type=DATASET).sha
            candidates = {} if now is None or now == head else {now: ""}
        for oid, ref in candidates.items():
            if _holds(_files(api, place, oid), plan):
                number = ref.rpartition("/")[2]
                return oid, f"{api.endpoint}/datasets/{place}/" + (f"discussions/{number}" if ref else f"commit/{oid}")
        return None

    return patiently(act, settled)


def _batches(additions: Sequence[CommitOperationAdd]) -> Iterator[list[CommitOperationAdd]]:
    batch: list[CommitOperationAdd] = []
    for add in additions:
        if batch and (
            len(batch) == BATCH_FILES or sum(a.upload_info.size for a in batch) + add.upload_info.size > BATCH_BYTES
        ):
            yield batch
            batch = []
        batch.append(add)
    if batch:
        yield batch


def _proposals(api: HfApi, place: str) -> dict[str, str]:
    refs = patiently(lambda: api.list_repo_refs(place, repo_type=DATASET, include_pull_requests=True))
    return {pull.ref: pull.target_commit for pull in refs.pull_requests or []}


def _holds(files: dict[str, RemoteFile], plan: Plan) -> bool:
    data = all(
        path in files and (files[path].sha256 or "") == plan.hashes.get(path, files[path].sha256) for path in plan.data
    )
    texts = all(path in files and files[path].oid == git_hash(content) for path, content in plan.texts.items())
    return data and texts and not any(path in files for path in plan.deleted)


def _message(plan: Plan) -> str:
    by_state = [f"{state} {sum(s == state for s in plan.states.values())}" for state in ("new", "replaced")]
    return f"MIS-Ground {plan.tag}: {', '.join(text for text in by_state if not text.endswith(' 0')) or 'card'}"


def _state(api: HfApi, place: str, before: str | None, head: str | None) -> str:
    """What a failed push left behind, in a sentence."""
    try:
        now = api.repo_info(place, repo_type=DATASET).sha
    except RepositoryNotFoundError:
        return "Nothing was changed."
    except Exception:
        return "Nothing was changed, unless the last request arrived; pushing again will show."
    if before is None and now == head:
        return f"The repository {place} was made and is still empty."
    return "The repository is as it was before." if now == head else "What is there now was made by someone else."


def _make_tag(api: HfApi, place: str, tag: str, commit: str | None) -> None:
    try:
        patiently(lambda: _tag_once(api, place, tag, commit))
    except HubError:
        raise
    except Exception as error:
        plain = refined(error, place)
        if plain is None:
            raise
        raise HubError(
            f"The data set is complete on the Hub, but the tag '{tag}' could not be created. {plain.problem}",
            value=plain.value,
            remedy="Give the same command again: only the tag will be created.",
        ) from error


def _tag_once(api: HfApi, place: str, tag: str, commit: str | None) -> None:
    there = {ref.name: ref.target_commit for ref in api.list_repo_refs(place, repo_type=DATASET).tags}
    if tag not in there:
        api.create_tag(place, tag=tag, revision=commit, repo_type=DATASET, exist_ok=True)
    elif there[tag] != commit and not _same_content(api, place, there[tag], commit):
        raise HubError(
            f"The data set is complete on the Hub, but the tag '{tag}' already exists for other content.",
            value=there[tag][:8],
            remedy="Choose another --tag; existing tags are not moved.",
        )


def _same_content(api: HfApi, place: str, one: str, other: str | None) -> bool:
    """Whether two commits hold the same data; the card may differ."""

    def content(revision: str | None) -> str:
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = api.hf_hub_download(place, RECORD_NAME, repo_type=DATASET, revision=revision, local_dir=folder)
            except EntryNotFoundError:
                return ""
            return record_from_text(Path(path).read_text(encoding="utf-8")).content

    return content(one) == content(other)
