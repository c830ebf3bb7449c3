"""The plan of a study: what is asked of which models, under which arms, and what is compared."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.settings import BUDGETS, is_secret
from lm_eval_tasks.running.answer_store import digest
from lm_eval_tasks.running.checks import check_tasks

Kind = Literal["vision", "text"]
Engine = Literal["transformers", "vllm"]
RULE = "rule"
"""Of an arm that goes by another name in the plan: the arm's own name."""
SEEDS = "seeds"
BUILT_IN = ("small", "smollm2")
"""Models that the package brings or fetches."""


@dataclass(frozen=True)
class Model:
    """A model of the plan.

    Args:
        pretrained: folder, name on the Hub, ``small`` (the package's own) or ``smollm2``.
        kind: whether it takes images.
        engine: ``vllm`` runs only arms that need nothing but logits.
        arguments: for the harness's model: ``dtype``, ``parallelize``, ``tensor_parallel_size``, ``revision`` ...
        chat_template: whether prompts go through it.
        batch_size: questions at once.
        tasks: in place of the plan's.
        limit: in place of the plan's.
    """

    pretrained: str
    kind: Kind = "vision"
    engine: Engine = "transformers"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    chat_template: bool = True
    batch_size: int = 8
    tasks: tuple[str, ...] | None = None
    limit: int | None = None


@dataclass(frozen=True)
class PlannedArm:
    """An arm of the plan.

    Args:
        name: in the plan and the report.
        rule: the arm's own name.
        settings: of the arm.
        seeds: how many answers a question gets if the arm draws random numbers.
    """

    name: str
    rule: str
    settings: Mapping[str, Any]
    seeds: int


@dataclass(frozen=True)
class Primary:
    """The one comparison that is tested alone.

    Args:
        arm: whose accuracy is compared ...
        against: ... with that of this arm.
        model: of the plan.
        style: of the plan.
    """

    arm: str
    against: str
    model: str
    style: str


@dataclass(frozen=True)
class Plan:
    """A study's plan; see ``plan_template.yaml`` for what each part means."""

    name: str
    dataset: str
    models: Mapping[str, Model]
    tasks: tuple[str, ...]
    arms: tuple[PlannedArm, ...]
    primary: Primary
    limit: int | None = None
    styles: tuple[str, ...] = ("direct",)
    budgets: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    smallest_effect: float = 0.02
    assumed_spread: float = 0.05
    pilot: str | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of all that the plan says; comments and the order of keys do not count."""
        return digest(asdict(self))

    def arm(self, name: str) -> PlannedArm:
        """The arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)

    def tasks_of(self, model: str) -> list[str]:
        """Tasks that a model is given."""
        return list(self.models[model].tasks or self.tasks)

    def limit_of(self, model: str) -> int | None:
        """Questions of each task that a model is given."""
        own = self.models[model].limit
        return self.limit if own is None else own


def template() -> str:
    """A plan to begin with."""
    return resources.files("lm_eval_tasks.study").joinpath("plan_template.yaml").read_text(encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """Read a plan and check all that can be checked without loading anything.

    Raises:
        MISGroundError: names the part of the plan that is wrong, and what to do about it.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise MISGroundError(
            "The plan cannot be read.", file=path, value=error, remedy="'mis-ground study --init' writes one."
        ) from error
    except yaml.YAMLError as error:
        raise MISGroundError("The plan is not valid YAML.", file=path, value=" ".join(str(error).split())) from error
    return _Reader(path).plan(given)


class _Reader:
    """Reads the parts of a plan; its errors name the file and the part."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wrong(self, problem: str, value: object = None, remedy: str = "") -> MISGroundError:
        return MISGroundError(problem, file=self._path, value=value, remedy=remedy)

    def plan(self, given: Any) -> Plan:
        values = self._known(given, [each.name for each in fields(Plan)], "the plan")
        for name in ("name", "dataset", "models", "tasks", "arms", "primary"):
            if not values.get(name):
                raise self.wrong(f"The plan lacks '{name}'.", remedy="'mis-ground study --init' writes a whole one.")
        values["models"] = {
            str(name): self._model(str(name), model)
            for name, model in self._mapping(values["models"], "models").items()
        }
        values["tasks"] = self._texts(values["tasks"], "tasks")
        values["styles"] = self._texts(values.get("styles", ("direct",)), "styles")
        values["budgets"] = dict(self._mapping(values.get("budgets") or {}, "budgets"))
        for style in (*values["styles"], *values["budgets"]):
            if style not in BUDGETS:
                raise self.wrong("There is no such style.", style, f"Use one of: {', '.join(BUDGETS)}.")
        values["arms"] = self._arms(self._mapping(values["arms"], "arms"))
        values["primary"] = self._primary(values)
        for name in ("limit", *(["seed"] if "seed" in values else [])):
            self._whole(values.get(name), name, 0 if name == "seed" else 1)
        for style, budget in values["budgets"].items():
            self._whole(budget, f"budgets: {style}", 1)
        for name in ("smallest_effect", "assumed_spread"):
            if name in values and not (isinstance(values[name], int | float) and 0 < values[name] <= 1):
                raise self.wrong(f"'{name}' must be a share above 0 and at most 1.", values[name])
        plan = Plan(**values)
        for model in plan.models:
            self._check_tasks(plan, model)
        return plan

    def _known(self, given: Any, names: list[str], where: str) -> dict[str, Any]:
        for name in self._mapping(given, where):
            if name not in names:
                near = difflib.get_close_matches(str(name), names, n=1)
                raise self.wrong(
                    f"There is no such entry in {where}.",
                    name,
                    f"Did you mean {near[0]!r}?" if near else f"Use: {', '.join(names)}.",
                )
        return dict(given)

    def _mapping(self, given: Any, where: str) -> Mapping[str, Any]:
        if not isinstance(given, Mapping):
            raise self.wrong(f"{where[0].upper()}{where[1:]} must be a mapping, 'name: value'.", given)
        return given

    def _texts(self, given: Any, where: str) -> tuple[str, ...]:
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, list | tuple) or not listed or not all(isinstance(each, str) for each in listed):
            raise self.wrong(f"'{where}' must be a list of names.", given)
        return tuple(listed)

    def _whole(self, value: Any, name: str, low: int) -> None:
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < low):
            raise self.wrong(f"'{name}' must be a whole number of at least {low}.", value)

    def _model(self, name: str, given: Any) -> Model:
        where = f"the model '{name}'"
        values = self._known(given, [each.name for each in fields(Model)], where)
        if not isinstance(values.get("pretrained"), str):
            raise self.wrong(f"The model '{name}' lacks 'pretrained'.", remedy="Give a folder or a name on the Hub.")
        for key, legal in (("kind", get_args(Kind)), ("engine", get_args(Engine))):
            if key in values and values[key] not in legal:
                raise self.wrong(f"'{key}' of {where} must be one of: {', '.join(legal)}.", values[key])
        if values.get("tasks") is not None:
            values["tasks"] = self._texts(values["tasks"], f"tasks of {where}")
        values["arguments"] = dict(self._mapping(values.get("arguments") or {}, f"arguments of {where}"))
        secrets = [key for key in values["arguments"] if is_secret(key)]
        if secrets:
            raise self.wrong("A plan is published, and must hold no key or password.", ", ".join(secrets))
        self._whole(values.get("batch_size"), f"batch_size of {where}", 1)
        self._whole(values.get("limit"), f"limit of {where}", 1)
        return Model(**values)

    def _arms(self, given: Mapping[str, Any]) -> tuple[PlannedArm, ...]:
        from semsam.arms import arm_of
        from semsam.errors import SemSamError

        found = []
        for name, settings in given.items():
            values = dict(self._mapping(settings or {}, f"the arm '{name}'"))
            rule, seeds = values.pop(RULE, name), values.pop(SEEDS, 1)
            self._whole(seeds, f"seeds of the arm '{name}'", 1)
            try:
                arm_of(str(rule), values)
            except SemSamError as error:
                remedy = error.remedy or "See the arms in docs/study.md."
                raise self.wrong(f"The arm '{name}': {error.problem}", error.value, remedy) from error
            found.append(PlannedArm(str(name), str(rule), values, int(seeds)))
        return tuple(found)

    def _primary(self, values: Mapping[str, Any]) -> Primary:
        given = self._known(values["primary"], [each.name for each in fields(Primary)], "primary")
        given.setdefault("model", next(iter(values["models"])))
        given.setdefault("style", values["styles"][0])
        arms = [arm.name for arm in values["arms"]]
        for key, known in (
            *(("arm", arms), ("against", arms)),
            *(("model", list(values["models"])), ("style", list(values["styles"]))),
        ):
            if given.get(key) not in known:
                raise self.wrong(
                    f"'{key}' of the primary comparison is not in the plan.",
                    given.get(key),
                    f"Use: {', '.join(known)}.",
                )
        if given["arm"] == given["against"]:
            raise self.wrong("The primary comparison compares an arm with itself.", given["arm"])
        return Primary(**given)

    def _check_tasks(self, plan: Plan, name: str) -> None:
        model, tasks = plan.models[name], plan.tasks_of(name)
        try:
            check_tasks(tasks)
        except MISGroundError as error:
            raise self.wrong(error.problem, error.value, error.remedy) from error
        blind = [task for task in tasks if task.startswith("blind_")]
        if model.kind == "text" and len(blind) < len(tasks):
            raise self.wrong(
                f"The model '{name}' takes text only, and is given tasks with images.",
                ", ".join(task for task in tasks if task not in blind),
                "Give it tasks of its own, such as 'blind_mis_ground_*'.",
            )
        if blind and len(blind) < len(tasks):
            raise self.wrong(
                f"The model '{name}' is given tasks with images and without: their questions are partly the same.",
                ", ".join(tasks),
                "Name the model twice, each with tasks of its own.",
            )


def arms_of(plan: Plan, model: str) -> tuple[list[PlannedArm], dict[str, str]]:
    """The arms that a model can run, and for each of the others why it cannot, in a sentence."""
    from semsam.arms import ARMS, arm_of
    from semsam.errors import SemSamError

    able, unable = [], {}
    chosen = plan.models[model]
    without_images = all(task.startswith("blind_") for task in plan.tasks_of(model))
    for arm in plan.arms:
        kind = ARMS[arm.rule]
        if kind.images_only and (chosen.kind == "text" or without_images):
            unable[arm.name] = "it is defined for questions with images only"
            continue
        if chosen.engine == "vllm":
            try:
                arm_of(arm.rule, arm.settings).for_vllm()
            except SemSamError as error:
                unable[arm.name] = f"{error.problem} {error.remedy}".strip()
                continue
        able.append(arm)
    return able, unable


def canonical(plan: Plan) -> str:
    """The plan as JSON."""
    return json.dumps(asdict(plan), indent=1, sort_keys=True)
