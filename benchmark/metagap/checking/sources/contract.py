"""What can be seen of a source without its data: is it complete, explained, and the same after it was written down?"""

from __future__ import annotations

import pickle

from metagap.checking.findings import Fault, Note
from metagap.checking.sources.subject import Subject
from metagap.messages import validated
from metagap.source_tables import named_table, source_of


def documentation(subject: Subject) -> str:
    """A docstring, a licence, a citation, and what each option means."""
    cls = type(subject.source)
    missing = [name for name in ("licence", "citation") if not getattr(cls, name, "")]
    if missing:
        raise Note(f"`{'` and `'.join(missing)}` say nothing: whose data are these, and who may use them?")
    if not cls.__dict__.get("__doc__"):
        raise Note("the class has no docstring; its first line is what `metagap list sources` prints")
    if silent := [key for key, option in cls.model_fields.items() if key != "kind" and not option.description]:
        raise Note(f'no description of {", ".join(silent)}; write Field(..., description="...")')
    return "says what it is, whose it is, and what its options mean"


def options(subject: Subject) -> str:
    """Whether a suite can name them: a process that reads the suite has to make the same source of them."""
    table = named_table(subject.table, subject.source)
    cls, given = source_of(table)
    again = validated(cls, given, "written into a suite and read again")
    if again != subject.source:
        raise Fault(f"written into a suite and read again it is another source: {again!r}, not {subject.source!r}")
    try:
        pickle.loads(pickle.dumps(subject.source.model_dump()))
    except Exception as error:
        raise Fault(f"its options cannot be sent to another process: {error!r}") from None
    count = len(type(subject.source).model_fields) - 1
    return f"{count or 'no'} option{'s' * (count != 1)}, the same after they were written into a suite"
