"""The commands between this machine and the world: ``push``, ``rebuild`` and the public archives of ``fetch``."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dataset_builder.cli.terminal import byte_bars

if TYPE_CHECKING:
    from dataset_builder.hub.push import Pushed

PlaceArgument = Annotated[str, typer.Argument(metavar="REPO", help="Repository on the Hub: user/name.")]
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="A data set folder.")]
OutOption = Annotated[Path | None, typer.Option(help="Download folder; by default one in the cache folder.")]
UnpackOption = Annotated[
    bool, typer.Option("--unpack", help="Unpack the zip files; not necessary, since the sources can read them packed.")
]


def add_fetch_commands(app: typer.Typer, console: Console, errors: Console) -> None:
    """Add the public archives to ``fetch``.

    Args:
        app: the command line of ``fetch``.
        console, errors: for results, and for progress.
    """

    def fetch(name: str, out: Path | None, unpack: bool, accepted: bool = False) -> None:
        from dataset_builder.sources.download import archives
        from dataset_builder.sources.download.package_index import cache_folder

        archive = archives.archives()[name]
        folder = out or cache_folder() / "archives" / name
        console.print(f"{archive.title}\nlicence {archive.licence}; {archive.url}", soft_wrap=True, highlight=False)
        with byte_bars(errors) as progress:
            archives.fetch_archive(archive, folder, accepted=accepted, unpack_members=unpack, progress=progress)
        console.print(f"Complete and verified in {folder}. Cite: {archive.citation}", soft_wrap=True, highlight=False)
        console.print(
            f"Next: mis-ground build --source {archive.source}:{folder} --out mis-ground",
            soft_wrap=True,
            highlight=False,
        )

    @app.command("totalsegmentator")
    def totalsegmentator_command(
        small: Annotated[bool, typer.Option("--small", help="102 scans instead of 1,228 (3.2 GB, not 23.6).")] = False,
        out: OutOption = None,
        unpack: UnpackOption = False,
    ) -> None:
        """Fetch TotalSegmentator's CT data from Zenodo (23.6 GB; an interrupted download resumes)."""
        fetch("totalsegmentator-small" if small else "totalsegmentator", out, unpack)

    @app.command("totalsegmentator-mri")
    def totalsegmentator_mri_command(
        accept_licence: Annotated[
            bool, typer.Option("--accept-licence", help="Confirm that you have read CC BY-NC-SA 2.0 and agree to it.")
        ] = False,
        out: OutOption = None,
        unpack: UnpackOption = False,
    ) -> None:
        """Fetch TotalSegmentator's MR data from Zenodo (5.1 GB; interrupted, it resumes; not for commercial use)."""
        fetch("totalsegmentator-mri", out, unpack, accept_licence)

    @app.command("oaizib-cm")
    def oaizib_cm_command(
        accept_licence: Annotated[
            bool, typer.Option("--accept-licence", help="Confirm that you have read CC BY-NC 4.0 and agree to it.")
        ] = False,
        out: OutOption = None,
        unpack: UnpackOption = False,
    ) -> None:
        """Fetch OAIZIB-CM, 507 knees in MR, from the Hugging Face Hub (about 13 GB; not for commercial use)."""
        fetch("oaizib-cm", out, unpack, accept_licence)

    @app.command("check")
    def check_folder_command(
        source: Annotated[str, typer.Argument(metavar="NAME:DIR", help="A source and its folder.")],
        expected: Annotated[int | None, typer.Option(help="Number of scans in a complete folder.")] = None,
    ) -> None:
        """Say whether a source's folder has image and labels of every scan; nothing is read but names."""
        from dataset_builder.sources.download.archives import check_folder

        found = check_folder(source, expected)
        for subject, lack in found.missing[:20]:
            console.print(f"missing: {escape(f'{subject}: {lack}')}", soft_wrap=True, highlight=False)
        if len(found.missing) > 20:
            console.print(f"... and {len(found.missing) - 20} more")
        of = "" if found.expected is None else f" of {found.expected}"
        state = "complete" if found.complete else "not complete"
        console.print(f"{found.cases}{of} scan(s), {len(found.missing)} file(s) missing: {state}.", highlight=False)
        if not found.complete:
            raise typer.Exit(1)


def add_commands(
    app: typer.Typer,
    console: Console,
    errors: Console,
    progress_bars: Callable[[], Any],
    print_summary: Callable[[Any], None],
) -> None:
    """Add the commands to the command line.

    Args:
        app: the command line.
        console, errors: for results, and for progress and warnings.
        progress_bars: context manager that gives a progress callback.
        print_summary: shows what a build made.
    """

    @app.command("rebuild")
    def rebuild_command(
        place: Annotated[str, typer.Argument(metavar="PLACE", help="A recipe: a folder, or user/name on the Hub.")],
        source: Annotated[
            list[str], typer.Option("--source", metavar="NAME[:DIR]", help="Where the scans are; repeatable.")
        ],
        out: Annotated[Path, typer.Option(help="The data set folder to make.")] = Path("mis-ground"),
        revision: Annotated[str | None, typer.Option(help="Revision of a recipe on the Hub.")] = None,
        num_proc: Annotated[
            int, typer.Option(help="Number of worker processes; the result does not depend on it.")
        ] = 1,
    ) -> None:
        """Make a data set from a recipe and your own copy of its scans; every row and image is verified."""
        from dataset_builder.building.recipe import rebuild

        with progress_bars() as progress:
            summary = rebuild(place, source, out, revision=revision, num_proc=num_proc, progress=progress)
        print_summary(summary)
        console.print("Every row and image matches the recipe.")

    @app.command("push")
    def push_command(
        place: PlaceArgument,
        folder: FolderArgument = Path("mis-ground"),
        only: Annotated[
            list[str],
            typer.Option(
                help="Push these configs or splits: ct_axial, ct_axial/directional_box, */*_mask. Repeatable."
            ),
        ] = [],  # noqa: B006 - typer reads it, nothing changes it
        config: Annotated[
            str | None, typer.Option(metavar="NAME", help="Push all questions as the split 'test' of a config NAME.")
        ] = None,
        private: Annotated[
            bool,
            typer.Option(
                "--private/--public", help="Who can read a repository that this push creates: you alone, or everyone."
            ),
        ] = True,
        create_pr: Annotated[bool, typer.Option("--create-pr", help="Propose the change in a pull request.")] = False,
        replace: Annotated[bool, typer.Option("--replace", help="Replace splits whose content differs.")] = False,
        recipe: Annotated[
            bool,
            typer.Option("--recipe", help="Push everything but the images; 'mis-ground rebuild' makes them again."),
        ] = False,
        accept_licence: Annotated[
            list[str],
            typer.Option(
                metavar="NAME", help="You have the right to redistribute images under this licence. Repeatable."
            ),
        ] = [],  # noqa: B006
        audit: Annotated[
            Path | None, typer.Option(help="Put this report of 'mis-ground check' into the card.", exists=True)
        ] = None,
        tag: Annotated[
            str | None, typer.Option(help="Git tag; by default made from the data version and the content.")
        ] = None,
        message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Show what would be sent without sending anything.")
        ] = False,
    ) -> None:
        """Push a data set to the Hub, whole or some splits, as one commit.

        What is on the Hub already stays: other splits, an edited card. An interrupted push resumes if repeated.
        The token is that of 'hf auth login' or HF_TOKEN.
        """
        from tempfile import TemporaryDirectory

        from dataset_builder.building.recipe import write_recipe
        from dataset_builder.hub.push import push

        with TemporaryDirectory(prefix="mis-ground-recipe-") as work, byte_bars(errors) as progress:
            done = push(
                write_recipe(folder, Path(work) / "recipe") if recipe else folder,
                place,
                only=only,
                config=config,
                private=private,
                create_pr=create_pr,
                replace_splits=replace,
                dry_run=dry_run,
                tag=tag,
                message=message,
                accepted_licences=accept_licence,
                audit=audit,
                progress=progress,
            )
            print_push(done, console)


def print_push(done: "Pushed", console: Console) -> None:
    """Show what a push did, or would do."""
    from dataset_builder.dataset.card import CARD_NAME

    plan = done.plan
    counted = Counter(plan.states.values())
    table = Table(title=f"{done.place}: " + ", ".join(f"{n} {one}" for one, n in counted.items()))
    for column in ("config", "splits", "state"):
        table.add_column(column)
    table.add_column("rows", justify="right")
    groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for (config, split), state in plan.states.items():
        groups.setdefault((config, state), []).append((split, plan.record.splits[config, split].rows))
    for (config, kind), splits in groups.items():
        names = splits[0][0] if len(splits) == 1 else f"{len(splits)} splits"
        table.add_row(config, names, kind, f"{sum(rows for _, rows in splits):,}")
    console.print(table)
    if plan.kept:
        console.print(f"{len(plan.kept)} other split(s) on the Hub stay unchanged.")
    if plan.edited and CARD_NAME in plan.texts:
        console.print(
            f"The card was edited {' and '.join(plan.edited)}: what was written there is kept, the rest is renewed.",
            soft_wrap=True,
        )
    for path in plan.deleted:
        console.print(f"will be deleted: {escape(path)}")
    size = f"{len(plan.data) + len(plan.texts)} file(s), {plan.send_bytes / 1e6:.1f} MB at most"
    who = "you and those you give access" if done.private else "everyone"
    change = "" if not (done.created and done.private) else " (--public for everyone)"
    console.print(f"Who can read {done.place}: {who}{change}.", soft_wrap=True, highlight=False)
    if done.commit is None:
        where = "a new repository" if done.created else "the repository"
        console.print(f"Dry run: {size} would go to {where} {done.place}, tag {done.tag}. Nothing was sent.")
        return
    if plan.empty:
        console.print("The Hub is up to date; nothing was sent.")
    else:
        console.print(f"Sent: {size}.")
    console.print(f"View it:  {done.url}", soft_wrap=True)
    if done.tag:
        console.print(
            f'Use it:  load_dataset("{done.place}", "{plan.config}", revision="{done.tag}")',
            soft_wrap=True,
            highlight=False,
        )
        own = "" if plan.config == "all" else f":{plan.config}"
        console.print(
            f"Score a model:  mis-ground eval {done.place}{own} --model hf-multimodal "
            "--model_args pretrained=MODEL --apply_chat_template --tasks 'mis_ground_*'",
            soft_wrap=True,
            highlight=False,
        )
