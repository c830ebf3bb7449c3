"""Results kept as long as the thing they were measured on lives, and no longer."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

Thing = TypeVar("Thing")
P = ParamSpec("P")
R = TypeVar("R")


def remembered(function: Callable[Concatenate[Thing, P], R]) -> Callable[Concatenate[Thing, P], R]:
    """Call a pure function once for each thing and further arguments.

    The thing (first argument) is compared by identity and held weakly: a volume of gigabytes is freed as before. It
    must not change; nor must what the function returns. Further arguments are positional and hashable.
    """
    results: WeakKeyDictionary[Thing, dict[tuple[object, ...], R]] = WeakKeyDictionary()

    @wraps(function)
    def once(thing: Thing, *args: P.args, **kwargs: P.kwargs) -> R:
        of_thing = results.setdefault(thing, {})
        key = (args, tuple(sorted(kwargs.items())))
        if key not in of_thing:
            of_thing[key] = function(thing, *args, **kwargs)
        return of_thing[key]

    return once
