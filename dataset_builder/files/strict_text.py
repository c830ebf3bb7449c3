"""JSON and YAML that people write, without their trap: a key that is given twice is an error, not the last one's win.

Whatever is wrong with a text is a ``ValueError`` that says it in one line; the parsers raise a dozen kinds.
"""

import json
from collections.abc import Hashable
from typing import Any

import yaml


class StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A YAML loader that refuses a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As YAML's, but strict."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        ValueError: if it is not YAML, or a key is given twice.
    """
    try:
        return yaml.load(text, StrictLoader)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except Exception as error:  # IndexError, TypeError, AttributeError ... of values that YAML's tags do not fit
        raise ValueError(" ".join(str(error).split())) from error


def load_json(text: str) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: if it is not JSON, or a key is given twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"'{next(key for key in keys if keys.count(key) > 1)}' is given twice")
    return table
