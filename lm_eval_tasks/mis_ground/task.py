"""A leaf of the benchmark as a task of the harness.

Differs from other configured tasks in where its rows come from and in what the harness would otherwise do silently:

* a leaf without rows asks the model nothing, and is shown as ``empty``;
* questions with and without images go to the model apart, where one command has both;
* requests cached by ``--cache_requests`` belong to the data, the settings and the version that they were made of;
* images are never cut off to the model's ``max_images``;
* a reply that is a list of parts is text, without its thinking;
* no key stands in the results.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Self

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from lm_eval_tasks.mis_ground.prompts import PLACE, doc_to_blind_text, doc_to_text
from lm_eval_tasks.mis_ground.reading import READER_VERSION
from lm_eval_tasks.mis_ground.replies import as_text
from lm_eval_tasks.mis_ground.rows import Document, Leaf, find_dataset, open_rows, stamp
from lm_eval_tasks.mis_ground.settings import RunSettings, RunSettingsError, without_secrets

READER = {"reader": READER_VERSION}
"""Stands in results, so that they can be rescored when the reader of answers has changed."""


class RequestType(str):
    """The kind of request that a model is asked for by name, distinguished by whether it has images.

    The harness gathers the requests of all tasks under their type and calls the model's method of that name. Its models
    take requests with images or without, never both at once: some then drop the images without a word. Two of these are
    equal only if they are alike in that, and each is equal to the plain text, as which it names the method.
    """

    images: bool

    def __new__(cls, name: str, images: bool) -> Self:
        """Name of the model's method, and whether its requests have images."""
        self = super().__new__(cls, name)
        self.images = images
        return self

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True and getattr(other, "images", self.images) == self.images

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __getnewargs__(self) -> tuple[str, bool]:  # type: ignore[override]
        return str(self), self.images


class MISGroundTask(ConfigurableTask):
    """A leaf."""

    def __init__(self, config: dict[str, Any]) -> None:
        given = {key: value for key, value in config.items() if key != "class"}
        metadata = given.get("metadata") or {}
        self.settings = RunSettings.from_metadata(metadata)
        where = (given.get("dataset_kwargs") or {}).get("where", {})
        budget = {"max_gen_toks": self.settings.budget(where.get("answer_type", "choice"))}
        super().__init__(config=given | {"generation_kwargs": {**given.get("generation_kwargs", {}), **budget}})
        self.OUTPUT_TYPE: Any = RequestType("generate_until", images=self.config.doc_to_image is not None)
        self.config.metadata = (
            without_secrets(metadata) | self.settings.as_dict() | self.settings.notes() | self.rows.facts() | READER
        )

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Choose this leaf's rows in the shared data set."""
        place = find_dataset((self.config.metadata or {}).get("dataset"))
        self.rows = open_rows(place, stamp(place))
        where = (dataset_kwargs or {})["where"]
        self.leaf = Leaf(self.rows, where, images=self.config.doc_to_image is not None, settings=self.settings)
        self.dataset = {"test": self.leaf}

    def fewshot_docs(self) -> None:
        """None: the default would read every document of the leaf to offer it as an example."""

    def doc_to_text(self, doc: Document, doc_to_text: Any = None) -> str:
        """The prompt, in the run's style."""
        return (doc_to_text_of(doc) if doc_to_text is None else doc_to_text)(doc, self.settings)

    def build_all_requests(
        self,
        *,
        samples: list[int] | None = None,
        chat_template: Callable[..., Any] | None = None,
        tokenizer_name: str = "",
        **more: Any,
    ) -> None:
        """The requests; none for a leaf without rows.

        Raises:
            RunSettingsError: if the model takes fewer images than a question has.
        """
        self._share = {name: more[name] for name in ("rank", "world_size") if name in more}
        if self.leaf.empty:
            self._instances: list[Instance] = []
            return
        model = getattr(chat_template, "__self__", None)
        self._check_images(getattr(model, "max_images", None))
        if chat_template is not None and hasattr(model, "_concurrent"):
            chat_template = _without_places(chat_template)
        settings = self.settings.as_dict() | self.settings.notes()
        made_of = [self.rows.digest, self.VERSION, settings, self.config.generation_kwargs, samples]
        key = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()[:16]
        super().build_all_requests(
            samples=samples, chat_template=chat_template, tokenizer_name=f"{tokenizer_name}-{key}", **more
        )

    def _check_images(self, taken: int | None) -> None:
        """Models behind an API send a limited number of images per question and drop the others."""
        most = self.leaf.most_images if self.config.doc_to_image is not None else 0
        if taken is not None and most > taken:
            raise RunSettingsError(
                f"Questions of {self.config.task} have {most} images, and the model is set to take {taken}: the others "
                f"would be dropped. Give --model_args max_images={most}, or one contact sheet for each stack: "
                '--metadata \'{"stack": "sheet"}\'.'
            )

    def apply_filters(self) -> list[Instance] | None:
        """The replies as text; a leaf without rows gets its placeholder now, when nobody is asked any more."""
        if self.leaf.empty:
            self._instances = [self._placeholder(number, doc) for number, doc in self.doc_iterator(**self._share)]
            return self._instances
        for request in self._instances:
            request.resps = [reply if isinstance(reply, str) else as_text(reply) for reply in request.resps]
        found: list[Instance] | None = super().apply_filters()
        return found

    def _placeholder(self, number: int, doc: Document) -> Instance:
        request = Instance(str(self.OUTPUT_TYPE), doc, ("", {}), 0, (self.config.task, number, 1), [""])
        request.filtered_resps = {each.name: "" for each in self._filters}
        return request


def doc_to_text_of(doc: Document) -> Callable[..., str]:
    """The function that makes a document's prompt."""
    return doc_to_text if "images" in doc else doc_to_blind_text


def _without_places(chat_template: Callable[..., Any]) -> Callable[..., Any]:
    """A chat template for a model that gets its images beside the text: places in the text would be read as words."""

    def apply(history: list[dict[str, Any]], **more: Any) -> Any:
        texts = [turn["content"].replace(PLACE, "").lstrip("\n") for turn in history]
        return chat_template([turn | {"content": text} for turn, text in zip(history, texts, strict=True)], **more)

    return apply
