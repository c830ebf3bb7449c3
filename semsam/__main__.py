"""``python -m semsam``: look into a model's neighbourhoods, and make its tables ahead of time."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semsam.errors import SemSamError, SettingsError
from semsam.settings import Settings

# Idle threads shall not spin: read when torch is loaded, and left alone if the user has set it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from torch import Tensor

app = typer.Typer(help="MIS-SemSam: token neighbourhoods of a model.", no_args_is_help=True, add_completion=False)

Model = Annotated[str, typer.Argument(help="A model's folder with safetensors files, or its name on the Hub.")]
K = Annotated[int, typer.Option("--k", help="Neighbours of a token, itself included.")]
Guard = Annotated[str, typer.Option("--guard", help="none (the published rule) or antonyms (ours).")]


@app.command()
def neighbours(
    model: Model,
    words: Annotated[list[str], typer.Argument(help="Words; each is shown with and without a leading space.")],
    k: K = 16,
    guard: Guard = "none",
) -> None:
    """Show the neighbourhoods of words: which tokens lend them their probability, and how much of it."""
    import torch
    from rich.console import Console

    from semsam import antonyms
    from semsam.embedding import load
    from semsam.neighbours import nearest

    settings = Settings(k=k, guard=guard)  # type: ignore[arg-type]
    source = load(model)
    embedding, content = source.fitted()
    apart = antonyms.pairs(source.tokenizer) if settings.guard == "antonyms" else None
    console = Console()
    for word in words:
        tokens, whole = _tokens(source.tokenizer, word)
        if not whole:
            console.print(f"No single token stands for {word!r}; these are its pieces.", highlight=False)
        for token in tokens:
            if not content[token]:
                text = _text(source.tokenizer, token)
                console.print(f"{text} ({token}) is a control token: it has no neighbours.", highlight=False)
                continue
            ids, weights = nearest(embedding, content, torch.tensor([token]), settings.k, apart=apart)
            console.print(_table(source.tokenizer, ids[0], weights[0]))


@app.command()
def tables(model: Model, k: K = 16, guard: Guard = "none") -> None:
    """Make a model's tables and keep them in the cache; of the model's files only the embedding is read."""
    from semsam import cache
    from semsam.neighbours import for_model

    made = for_model(model, settings=Settings(k=k, guard=guard))  # type: ignore[arg-type]
    print(cache.path(made))


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sweep(context: typer.Context) -> None:
    """Answer a harness task under many settings: a table and a plot."""
    from semsam.experiments.sweep import main as run

    raise typer.Exit(run(context.args))


def _tokens(tokenizer: Any, word: str) -> tuple[list[int], bool]:
    """The tokens that write the word, with a leading space and without; else its pieces, and false."""
    if not word.strip():
        raise SettingsError("A word must not be empty.", value=repr(word))
    forms = [tokenizer.encode(form, add_special_tokens=False) for form in (f" {word.strip()}", word.strip())]
    whole = [form[0] for form in forms if len(form) == 1]
    return list(dict.fromkeys(whole or forms[0])), bool(whole)


def _text(tokenizer: Any, token: int) -> str:
    """A token's text with its spaces to be seen; of part of a letter, the tokenizer's name for it."""
    name = tokenizer.convert_ids_to_tokens(token)
    text = tokenizer.convert_tokens_to_string([name])
    return repr(name if "\ufffd" in text else text)


def _table(tokenizer: Any, ids: "Tensor", weights: "Tensor") -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"{_text(tokenizer, int(ids[0]))}"), title_justify="left")
    for heading in ("", "id", "cosine"):
        table.add_column(heading, justify="right")
    table.add_column("token")
    for rank, (token, weight) in enumerate(zip(ids.tolist(), weights.tolist(), strict=True)):
        table.add_row(str(rank), str(token), f"{weight:.3f}", Text(_text(tokenizer, token)))
    return table


def main(arguments: list[str] | None = None) -> None:
    """The command line; a user's mistake ends it with one line and status 1."""
    try:
        app(arguments, prog_name="python -m semsam")
    except SemSamError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
