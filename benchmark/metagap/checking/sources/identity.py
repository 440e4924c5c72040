"""What cells are known by: the digest of the content, the stamp of the files, and what is said where one is missing."""

from __future__ import annotations

import json
from pathlib import Path

from metagap.checking.findings import Fault, during
from metagap.checking.sources.subject import Subject
from metagap.errors import UserError
from metagap.tasks.sampling import raw
from metagap.tasks.source import Part, named_files


def digest(subject: Subject) -> str:
    """Whether it is a text, the same again, and other for parts that hold other data."""
    found = {}
    for part in subject.parts:
        with during(f"digest('{part}')"):
            first, second = subject.source.digest(part), type(subject.source)(**dict(subject.source)).digest(part)
        if not isinstance(first, str) or not first:
            raise Fault(f"digest('{part}') gives {first!r}; allowed: a text")
        if first != second:
            raise Fault(f"digest('{part}') gives {first}, and then {second}: cells would never be found again")
        found[part] = first
    source, own = subject.source, [part for part in subject.drawable if part != "all"]
    if (source.has_parts or any(named_files(source))) and len(own) > 1:
        one, other = own[0], own[-1]
        if found[one] == found[other] and _examples(subject, one) != _examples(subject, other):
            raise Fault(
                f"digest is {found[one]} for {one} and for {other}, which hold other data: it does not depend on "
                "their content, so that cells of other data would be taken for these"
            )
    return f"{len(set(found.values()))} for {len(found)} parts, the same each time"


def stamp(subject: Subject) -> str:
    """Whether it is plain values, the same again."""
    with during("stamp"):
        first, second = subject.source.stamp(), subject.source.stamp()
    try:
        written = [json.dumps(one) for one in (first, second)]
    except (TypeError, ValueError) as error:
        raise Fault(f"stamp gives what is no plain value: {error}") from None
    if written[0] != written[1]:
        raise Fault(f"stamp gives {written[0]}, and then {written[1]}, although no file has changed")
    return "plain values, the same as long as files stay" if first is not None else "none: nothing is read from files"


def missing(subject: Subject) -> str:
    """Whether a file that is missing is named in one sentence."""
    options = {key: value for key, value in subject.source if isinstance(value, str | Path) and any(named_files(value))}
    for key, value in options.items():
        gone = f"{value}.gone"
        place = f"{key} = '{gone}', which there is not"
        with during(place):
            try:
                subject.source.model_copy(update={key: gone}).tasks(Part(), "cpu")
            except UserError as error:
                if Path(gone).name not in str(error):
                    raise Fault(f"{place}: the message does not name it: {error}") from None
                continue
        raise Fault(f"{place}, gives tasks all the same")
    return f"{', '.join(options)}: named where there is none" if options else "no option names a file"


def _examples(subject: Subject, part: str) -> bytes:
    return raw(subject.seen[part].episode)
