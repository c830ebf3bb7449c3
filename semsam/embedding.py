"""A model's input embedding, tokenizer and config: from a loaded model, or from its files without loading the model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semsam.content import content_tokens
from semsam.errors import EmbeddingError, TokenizerMismatchError

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
# The last parts of the embedding's name, as the model families call it.
_NAMES = (
    *("embed_tokens.weight", "tok_embeddings.weight", "word_embeddings.weight", "wte.weight", "embed_in.weight"),
    *("word_embedding.weight", "token_embedding.weight", "embedding.weight", "shared.weight", "embeddings.weight"),
)
_HEADS = ("lm_head.weight", "embed_out.weight")
"""The last parts of the output layer's name."""
_LOOKED_UP_AT_ONCE = 8192
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Source:
    """What neighbour tables are made from.

    Args:
        embedding: float[rows, H].
        tokenizer: the model's.
        config: the model's, if there is one.
        logits: how many logits the model gives; None if as many as the embedding has rows. Some models embed tokens
            that they never say, such as an image's.
    """

    embedding: Tensor
    tokenizer: Any
    config: Any
    logits: int | None = None

    def fitted(self) -> tuple[Tensor, Tensor]:
        """float[V, H], the embedding of the tokens that the model has logits for, and bool[V], which are content.

        Raises:
            EmbeddingError: if a content token has no logit.
            TokenizerMismatchError: if the tokenizer does not fit.
        """
        content = content_tokens(self.tokenizer, self.config, len(self.embedding))
        width = len(content) if self.logits is None else self.logits
        if bool(content[width:].any()):
            beyond = content[width:].nonzero().squeeze(1) + width
            raise EmbeddingError(
                f"The model has no logits for {len(beyond)} content tokens of its embedding.",
                value=f"{len(content)} rows, {width} logits; tokens {beyond[:5].tolist()}",
                remedy="give the model's own tokenizer, or resize embedding and head to the same size.",
            )
        more = max(0, width - len(content))
        return fit(self.embedding, self.logits), torch.cat([content[:width], content.new_zeros(more)])


def load(model_or_folder: Any, tokenizer: Any = None) -> Source:
    """Embedding, tokenizer and config of a loaded model, a model's folder, or a model on the Hub.

    Raises:
        EmbeddingError: if no embedding is found, or it is quantised or not loaded.
        TokenizerMismatchError: if no tokenizer is given and none is found.
    """
    if isinstance(model_or_folder, str | Path):
        files = _files(model_or_folder)
        config = _config(files)
        embedding = _read(files, config)
        logits = _logits_in(files)
        name = str(model_or_folder)
    else:
        config = getattr(model_or_folder, "config", None)
        embedding = _in_use(model_or_folder)
        logits = logits_of(model_or_folder)
        name = getattr(model_or_folder, "name_or_path", "")
    if tokenizer is None:
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise TokenizerMismatchError(
                "No tokenizer was found with the model.", value=name, remedy="pass the tokenizer as well."
            ) from error
    return Source(embedding, tokenizer, config, logits)


def of_model(model: Any) -> Tensor:
    """float[V, H], the token embedding that a loaded model uses, a row for each of its logits.

    Raises:
        EmbeddingError: if the model has none, or it is quantised or not in memory.
    """
    return fit(_in_use(model), logits_of(model))


def state_of(model: Any) -> tuple[Any, ...]:
    """What changes when a model's token embedding does: its weights, its adapters', and which of these count."""
    try:
        layer = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return ()
    weights = tuple((each.data_ptr(), each._version, each.shape) for each in layer.parameters())
    adapters = tuple(str(getattr(layer, name, None)) for name in ("active_adapters", "disable_adapters", "merged"))
    return weights, adapters


def fit(embedding: Tensor, logits: int | None) -> Tensor:
    """The embedding cut or filled up with zeros to as many rows as there are logits."""
    rows = len(embedding)
    if logits is None or logits == rows:
        return embedding
    return (
        embedding[:logits]
        if logits < rows
        else torch.cat([embedding, embedding.new_zeros(logits - rows, embedding.shape[1])])
    )


def logits_of(model: Any) -> int | None:
    """How many logits a loaded model gives; None if its output layer does not say."""
    try:
        head = model.get_output_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    features = getattr(head, "out_features", None)
    if not isinstance(features, int):
        weight = getattr(head, "weight", None)
        return len(weight) if isinstance(weight, Tensor) and weight.dim() == 2 else None
    return features + int(getattr(head, "out_additional_features", 0) or 0)


def _in_use(model: Any) -> Tensor:
    """float[rows, H], the embedding as the model uses it: its weight, or with an adapter's share (a copy then)."""
    try:
        layer = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        layer = None
    weight = getattr(layer, "weight", None)
    kind = type(model).__name__
    if not isinstance(weight, Tensor):
        raise EmbeddingError(
            "The model has no token embedding.", value=kind, remedy="use a model that generates text from token ids."
        )
    if weight.device.type == "meta":
        raise EmbeddingError(
            "The model's embedding is not in memory (it is offloaded).",
            value=kind,
            remedy="give the model's folder instead: of its files only the embedding is read.",
        )
    plain = _checked(weight.detach(), kind)
    if type(layer) is torch.nn.Embedding and not layer._forward_hooks:
        return plain
    return _looked_up(layer, plain, kind)


def _looked_up(layer: Any, weight: Tensor, kind: str) -> Tensor:
    """What the embedding's layer gives for every token; the weight itself if that has the same directions."""
    rows = len(weight) + int(getattr(layer, "num_additional_embeddings", 0) or 0)
    parts = []
    with torch.no_grad():
        for some in torch.arange(rows, device=weight.device).split(_LOOKED_UP_AT_ONCE):
            try:
                found = layer(some.unsqueeze(0)).squeeze(0)
            except Exception as error:
                raise EmbeddingError(
                    "The model's token embedding is not a plain table and cannot be read.",
                    value=f"{kind}: {type(layer).__name__}",
                    remedy="merge the adapter into the model first (merge_and_unload).",
                ) from error
            if found.shape != (len(some), weight.shape[1]):
                raise EmbeddingError(
                    "The model's token embedding does not give a vector for each token.",
                    value=f"{kind}: {type(layer).__name__} gives {list(found.shape)}",
                    remedy="merge the adapter into the model first (merge_and_unload).",
                )
            parts.append(found.detach())
    used = torch.cat(parts)
    if rows == len(weight) and bool(_same_directions(used, weight)):
        return weight
    return _checked(used, kind)


def _same_directions(one: Tensor, other: Tensor) -> bool:
    """Whether the vectors differ in length only, as where a model scales its embedding."""
    for some, others in zip(one.split(_LOOKED_UP_AT_ONCE), other.split(_LOOKED_UP_AT_ONCE), strict=True):
        cosine = torch.cosine_similarity(some.float(), others.float(), dim=-1)
        nothing = (others == 0).all(-1) & (some == 0).all(-1)
        if not bool(((cosine > 1 - 1e-4) | nothing).all()):
            return False
    return True


def read(folder: str | Path) -> Tensor:
    """float[V, H], the token embedding read from a model's safetensors files; nothing else is read.

    Args:
        folder: a folder, or the name of a model on the Hub, of which only the file with the embedding is fetched.

    Raises:
        EmbeddingError: if the files are missing or damaged, or contain no or several token embeddings.
    """
    files = _files(folder)
    return _read(files, _config(files))


def _read(files: "_Files", config: Any) -> Tensor:
    from safetensors import SafetensorError, safe_open

    try:
        names = _names(files)
        name = _choose(names, config, files.place)
        with safe_open(names[name], framework="pt") as file:
            return _checked(file.get_tensor(name), f"{name} of {files.place}")
    except (SafetensorError, json.JSONDecodeError, KeyError, FileNotFoundError) as error:
        raise EmbeddingError(
            "The model's safetensors files cannot be read.",
            value=f"{files.place}: {error}",
            remedy="download them again.",
        ) from error


def _logits_in(files: "_Files") -> int | None:
    """How many logits the model in the files gives; None where it has no output layer of its own."""
    from safetensors import SafetensorError, safe_open

    try:
        names = _names(files, _HEADS)
        found = [name for name in names if name.endswith(_HEADS)]
        if len(found) != 1:
            return None
        with safe_open(names[found[0]], framework="pt") as file:
            return int(file.get_slice(found[0]).get_shape()[0])
    except (SafetensorError, OSError, ValueError, KeyError):
        return None


def _config(files: "_Files") -> Any:
    """The model's config: an object, a dict if this transformers does not know the model, or None if there is none."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(files.place)
    except (OSError, ValueError, KeyError):
        # A model whose class comes with it: what its file says is enough here, and no code of it need be run.
        try:
            return json.loads(files.get("config.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return None


def _choose(names: dict[str, Path], config: Any, folder: str | Path) -> str:
    """The name of the token embedding among those of all tensors."""
    from safetensors import safe_open

    for suffix in _NAMES:
        found = sorted(name for name in names if name == suffix or name.endswith("." + suffix))
        rows = _vocabulary_size(config)
        if len(found) > 1 and rows is not None:
            shapes = {}
            for name in found:
                with safe_open(names[name], framework="pt") as file:
                    shapes[name] = file.get_slice(name).get_shape()
            found = [name for name in found if len(shapes[name]) == 2 and shapes[name][0] == rows]
        if len(found) == 1:
            return found[0]
        if found:
            raise EmbeddingError(
                "The model's files contain several token embeddings.",
                value=", ".join(found),
                remedy="load the model and give it instead of its folder.",
            )
    raise EmbeddingError(
        "The model's files contain no token embedding with a known name.",
        value=str(folder),
        remedy="load the model and give it instead of its folder.",
    )


def _vocabulary_size(config: Any) -> int | None:
    if config is None:
        return None
    if isinstance(config, dict):
        size = config.get("text_config", config).get("vocab_size")
    else:
        size = getattr(config.get_text_config(), "vocab_size", None)
    return size if isinstance(size, int) else None


def _names(files: "_Files", endings: tuple[str, ...] = _NAMES) -> dict[str, Path]:
    """Name of each tensor -> the file that holds it; only files that may hold what is wanted are fetched."""
    from safetensors import safe_open

    if files.index is None:
        single = files.get(_SINGLE)
        with safe_open(single, framework="pt") as file:
            return dict.fromkeys(file.keys(), single)
    shard_of: dict[str, str] = json.loads(files.index.read_text())["weight_map"]
    wanted = {name: shard for name, shard in shard_of.items() if name.endswith(endings)}
    return {name: files.get(shard) for name, shard in wanted.items()}


@dataclass(frozen=True)
class _Files:
    """A model's safetensors files: in a folder, or on the Hub, from where they come one by one."""

    place: str | Path
    index: Path | None

    def get(self, name: str) -> Path:
        """The file's path.

        Raises:
            FileNotFoundError: if there is none.
        """
        folder = Path(self.place)
        if folder.is_absolute() and not folder.is_dir():
            raise FileNotFoundError("this folder does not exist")
        if folder.is_dir():
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{name} is missing")
            return folder / name
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(str(self.place), name))


def _files(place: str | Path) -> _Files:
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    remedy = "give a model's folder with safetensors files, or load the model and give it."
    try:
        try:
            return _Files(place, _Files(place, None).get(_INDEX))
        except (FileNotFoundError, EntryNotFoundError):
            files = _Files(place, None)
            files.get(_SINGLE)
            return files
    except (
        FileNotFoundError,
        EntryNotFoundError,
        LocalEntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        OSError,
    ) as error:
        raise EmbeddingError(
            "No safetensors files of a model were found.", value=f"{place}: {error}", remedy=remedy
        ) from error


def _checked(weight: Tensor, place: str) -> Tensor:
    if type(weight) is not Tensor:  # quantised in disguise, or spread over devices
        raise EmbeddingError(
            "The token embedding is not stored as one plain tensor.",
            value=f"{place}: {type(weight).__name__}",
            remedy="give the model's folder instead: of its files only the embedding is read.",
        )
    if weight.dim() != 2 or weight.dtype not in _FLOATS:
        raise EmbeddingError(
            "The token embedding is quantised, or not a matrix.",
            value=f"{place}: {weight.dtype}{list(weight.shape)}",
            remedy="build the tables from the unquantised model's files; they serve the quantised model as well.",
        )
    return weight
