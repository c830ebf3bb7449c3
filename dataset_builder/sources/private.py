"""Private scans under pseudonyms: what is published of them holds no name of a patient, a case or a file."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from dataset_builder.core.errors import SourceError
from dataset_builder.files.pseudonyms import open_pseudonyms
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources.base import Case, SourceOf


@dataclass(frozen=True)
class PrivateCase(Case):
    """A case whose subject is a pseudonym.

    Args:
        original: the case under its own name.
    """

    original: Case | None = None


@dataclass(frozen=True)
class Private(SourceOf):
    """A source whose subjects are pseudonyms; which is whose stays in a local file of the user's."""

    def cases(self) -> Iterator[Case]:
        """As the source's, in the order of the pseudonyms.

        Raises:
            SourceError: if two cases have the same name, besides what the source raises.
        """
        pseudonyms = open_pseudonyms()
        renamed: dict[str, PrivateCase] = {}
        for case in self.source.cases():
            subject = pseudonyms.of(case.source, case.subject)
            if subject in renamed:
                raise SourceError(
                    "Two cases have the same source and subject.", value=subject, remedy="Rename one of them."
                )
            pseudonyms.note(subject, {"source": case.source, "subject": case.subject})
            known = {field.name: getattr(case, field.name) for field in fields(Case)}
            renamed[subject] = PrivateCase(**known | {"subject": subject}, original=case)
        pseudonyms.save()
        yield from (renamed[subject] for subject in sorted(renamed))

    def read(self, case: Case) -> Volume:
        """As the source's."""
        assert isinstance(case, PrivateCase)
        assert case.original is not None
        return replace(self.source.read(case.original), subject=case.subject)


def is_private(source: object) -> bool:
    """Whether the names of a source's files must not be published."""
    while isinstance(source, SourceOf):
        if isinstance(source, Private):
            return True
        source = source.source
    return False
