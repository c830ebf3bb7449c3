"""Private scans under pseudonyms: what is published of them holds no name of a patient, a case or a file."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dataset_builder.files.pseudonyms import open_pseudonyms
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources.base import Case, SourceOf


@dataclass(frozen=True)
class Private(SourceOf):
    """A source whose subjects are pseudonyms; which is whose stays in a local file of the user's."""

    def cases(self) -> Iterator[Case]:
        """As the source's, in the order of the pseudonyms."""
        pseudonyms = open_pseudonyms()
        renamed = []
        for case in self.source.cases():
            subject = pseudonyms.of(case.source, case.subject)
            pseudonyms.note(subject, {"source": case.source, "subject": case.subject})
            renamed.append(replace(case, subject=subject))
        pseudonyms.save()
        yield from sorted(renamed, key=lambda case: case.subject)

    def read(self, case: Case) -> Volume:
        """As the source's."""
        return self.source.read(case)
