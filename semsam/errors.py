"""Errors a user can act on: each says what is wrong, the value found, and the remedy."""


class SemSamError(Exception):
    """Base of all errors of MIS-SemSam.

    Args:
        problem: one sentence that says what is wrong.
        value: the offending value, as found.
        remedy: what to do about it.
    """

    def __init__(self, problem: str, *, value: object = None, remedy: str = "") -> None:
        self.problem = problem
        self.value = value
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.problem
        if self.value is not None:
            text += f" [found: {self.value}]"
        if self.remedy:
            text += f" Remedy: {self.remedy}"
        return text

    def __reduce__(self):  # type: ignore[no-untyped-def]
        # Exceptions with keyword-only arguments do not survive pickling between processes by themselves.
        return _rebuild, (type(self), self.problem, self.value, self.remedy)


def _rebuild(kind: type[SemSamError], problem: str, value: object, remedy: str) -> SemSamError:
    return kind(problem, value=value, remedy=remedy)


class SettingsError(SemSamError, ValueError):
    """A setting is unknown, of the wrong type or out of its range."""


class EmbeddingError(SemSamError):
    """The model has no embedding to build from: it is missing, quantised, not loaded or not finite."""


class TokenizerMismatchError(SemSamError):
    """The tokenizer does not fit the embedding."""


class TablesError(SemSamError):
    """The neighbour tables do not fit the model, the settings or the device they are used with."""


class RunsError(SemSamError, ValueError):
    """A run over the harness's tasks cannot be made, or not be compared with another."""
