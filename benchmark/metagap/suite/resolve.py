"""From a suite file to a suite: read, changed, checked, and every default of model and sources filled in."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import create_model

from metagap import optimizers, registry
from metagap.errors import UserError, at
from metagap.files import SUITES, folder_name
from metagap.kinds import TaskKind
from metagap.messages import Faults, validated
from metagap.source_tables import make_source, named_table, source_of
from metagap.suite.edit import set_key
from metagap.suite.forms import with_forms
from metagap.suite.responses import with_responses
from metagap.suite.schema import Entry, OwnEvaluation, Section, Split, Suite, Training
from metagap.suite.sources import with_options


def load_suite(name_or_path: str, changes: Sequence[str] = ()) -> Suite:
    """Read a suite by built-in name or by path, with changes `key.key=value` made first.

    Raises UserError with the file, the key, what was found and what is allowed.
    """
    path = SUITES.path(name_or_path)
    return resolve(with_changes(SUITES.read(path), changes), path)


def resolve_changed(table: Mapping[str, Any], path: Path, changes: Sequence[str]) -> tuple[Suite, Suite]:
    """The suite of a table read from `path` with changes, and as the table has it."""
    written = resolve(table, path)
    return (resolve(with_changes(table, changes), path) if changes else written), written


def written_suite(name_or_path: str) -> Suite:
    """The suite as its file has it, without the defaults of model, source and algorithms: needs no torch."""
    path = SUITES.path(name_or_path)
    table = SUITES.read(path)
    file = place_of(table, path)
    suite, faults, algorithms = _checked(table, path, file), Faults(), {}
    for label, entry in suite.algorithms.items():
        with faults:
            algorithms[label] = typed_entry(suite, entry, f"{file}: algorithms.{label}")
    faults.close()
    splits = [split.model_copy(update={"source": with_options(suite.source, split.source)}) for split in suite.splits]
    return suite.model_copy(update={"splits": splits, "algorithms": algorithms})


def resolve(table: Mapping[str, Any], path: Path) -> Suite:
    """The suite of a table read from `path`: checked, and with every default of model and sources filled in."""
    file = place_of(table, path)
    try:
        suite = _checked(table, path, file)
    except UserError as error:  # the rest is looked at as it is written, so that all faults are reported at once
        raise UserError("\n".join(dict.fromkeys([str(error), *_faults_of_parts(table, file)]))) from None
    faults = Faults()
    source: dict[str, Any] = {}
    splits = []
    with faults:
        source = _resolve_source(suite.source, suite.kind, f"{file}: source")
    for split in suite.splits:
        with faults:
            place = f"{file}: {f'responses.{split.dose.of}' if split.dose else f'splits.{split.name}'}"
            own = source
            if split.source:
                own = _resolve_source(with_options(suite.source, split.source), suite.kind, f"{place}.source")
            splits.append(split.model_copy(update={"source": own}))
            if split.shift is not None:
                _check_shift(split, own, place)
            _refuse_leak(splits[-1], source, suite, place)
    model: dict[str, Any] = {}
    with faults:
        model = _resolve_model(suite.model, f"{file}: model")
    with faults:
        _check_optimizer(suite.training, f"{file}: training")
    with faults:
        _check_quantities(suite, f"{file}: evaluation.quantities")
    algorithms = {}
    for label, entry in suite.algorithms.items():
        with faults:
            algorithms[label] = resolve_entry(suite, entry, f"{file}: algorithms.{label}")
    faults.close()
    return suite.model_copy(update={"model": model, "source": source, "splits": splits, "algorithms": algorithms})


def _faults_of_parts(table: Mapping[str, Any], file: str) -> list[str]:
    """What is wrong with the sources, the model and the algorithms of a table that is not a valid suite."""
    task, splits, entries = (table.get(key) for key in ("task", "splits", "algorithms"))
    named = task.get("kind") if isinstance(task, dict) else None
    kind = registry.intact("kind", named) if isinstance(named, str) else None
    sources = {"source": table.get("source")}
    for i, split in enumerate(splits if isinstance(splits, list) else ()):
        if isinstance(split, dict):
            own, base = split.get("source"), sources["source"]
            own = with_options(base, own) if isinstance(own, dict) and isinstance(base, dict) else own
            sources[f"splits.{split.get('name', i)}.source"] = own
    faults = Faults()
    for place, part in [*sources.items(), ("model", table.get("model"))]:
        named = {"name": part} if isinstance(part, str) else part
        if isinstance(named, dict):
            with faults:
                if place == "model":
                    _resolve_model(named, f"{file}: {place}")
                else:
                    _resolve_source(named, kind, f"{file}: {place}")
    for label, entry in entries.items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict) and isinstance(name := entry.get("algorithm", label), str):
            own = {key: value for key, value in entry.items() if key not in Entry.model_fields}
            with faults:
                _made("algorithm", name, own, f"{file}: algorithms.{label}")
    return faults.messages


def with_changes(table: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A copy of the table of a suite with changes `key.key=value` made."""
    copied = copy.deepcopy(dict(table))
    for change in changes:
        set_key(copied, change)
    return copied


def place_of(table: Mapping[str, Any], path: Path) -> str:
    """What messages about a suite begin with: its file, and what it extends, where the fault may be too."""
    return f"{path} (extends '{table['extends']}')" if "extends" in table else str(path)


def _checked(table: Mapping[str, Any], path: Path, file: str) -> Suite:
    """The suite of a table, as it is written. file: what messages call it."""
    if table.get("sweep"):
        raise UserError(
            f"{file}: this suite is a sweep, which `metagap run` and `metagap report` take as a whole; "
            "the change sweep=[] leaves the suite without it"
        )
    if table.get("leave_one_out"):
        raise UserError(
            f"{file}: this suite leaves one domain out, which `metagap run` and `metagap report` take as a whole"
        )
    if "name" in table:
        raise UserError(f"{file}: unknown key 'name': a suite is called by the name of its file")
    name = folder_name(path.stem, f"suite file {str(path)!r}: a suite is called by the name of its file")
    rest = {key: value for key, value in table.items() if key not in ("sweep", "leave_one_out")}
    return validated(Suite, {"name": name, **with_responses(with_forms(rest), file)}, file)


def resolve_entry(suite: Suite, entry: Entry, place: str) -> Entry:
    """An algorithm of a suite: checked, its values typed, and with the defaults of its hyper-parameters."""
    algorithm = _made("algorithm", entry.algorithm, entry.hyperparameters, place)
    typed = typed_entry(suite, entry, place)
    if {"optimizer", "eps"} & entry.training.keys():
        _check_optimizer(suite.training_of(typed), f"{place}.training")
    if own := typed.evaluation.get("settings", {}):
        changed = {**entry.hyperparameters, **own}
        at_test = validated(type(algorithm), changed, f"{place}.evaluation.settings").model_dump()
        evaluation = {**typed.evaluation, "settings": {name: at_test[name] for name in own}}
        typed = typed.model_copy(update={"evaluation": evaluation})
    return typed.completed(algorithm.model_dump())


def typed_entry(suite: Suite, entry: Entry, place: str) -> Entry:
    """An algorithm of a suite with its own keys of training and evaluation checked and typed."""
    training = validated(Training, {**suite.training.model_dump(), **entry.training}, f"{place}.training")
    if faults := list(training.faults_of_forms(suite.task)):
        raise UserError("\n".join(f"{place}.training: {fault}" for fault in dict.fromkeys(faults)))
    base = suite.evaluation.model_dump()
    evaluation = validated(OwnEvaluation, {**base, **entry.evaluation}, f"{place}.evaluation")
    own = {"training": training.model_dump(include={*entry.training})}
    own["evaluation"] = evaluation.model_dump(include={*entry.evaluation})
    return entry.model_copy(update=own)


def _made(kind: registry.Kind, name: str, table: Mapping[str, Any], place: str) -> Any:
    """The object of a registered class that a table describes."""
    with at(place):
        made = registry.load(kind, name)
    return validated(made, table, place)


def _check_optimizer(training: Training, place: str) -> None:
    """Raises UserError where there is no such outer optimizer, or it does not take what is set for it."""
    with at(f"{place}: key 'optimizer'"):
        optimizer = optimizers.find(training.optimizer)
    if training.eps is not None and "eps" not in optimizer.options:
        raise UserError(f"{place}: eps is not for optimizer = '{training.optimizer}'; allowed: adam")


def _check_quantities(suite: Suite, place: str) -> None:
    """Raises UserError where quantities cannot be loaded, or are not for the kind of task."""
    known: dict[str, str] = {}
    wrong: list[str] = []
    for i, name in enumerate(suite.evaluation.quantities or ()):
        try:
            found = registry.load_named("quantity", name)
        except UserError as error:
            wrong.append(f"{place}.{i}: {error}")
            continue
        if suite.kind.name not in found.kinds:
            wrong.append(f"{place}.{i}: '{name}' is for {' and '.join(found.kinds)}, not for {suite.kind}")
        if (other := known.setdefault(found.name, name)) != name:
            wrong.append(f"{place}.{i}: '{other}' and '{name}' both call themselves '{found.name}'")
    if wrong:
        raise UserError("\n".join(wrong))


def _resolve_source(table: dict[str, Any], kind: TaskKind | None, place: str) -> dict[str, Any]:
    _named_table(table, "source", place)
    with at(f"{place}: key 'name'"):
        source_class, options = source_of(table)
    if source_class.chooses_kind and kind is not None:
        options = {"kind": kind.name, **options}
    source = validated(source_class, options, place)
    if kind is not None and kind != source.kind:
        raise UserError(f"{place}: '{table['name']}' gives {source.kind} tasks, but task.kind is '{kind}'")
    return named_table(table, source)


def _named_table(table: Mapping[str, Any], kind: registry.Kind, place: str) -> None:
    name, more = table.get("name"), ", path:..., table:..." if kind == "source" else ""
    if not isinstance(name, str):
        fault = "is missing" if name is None else f"= {name!r} is no text"
        raise UserError(f"{place}: key 'name' {fault}; allowed: {', '.join(registry.names(kind))}{more}")


def _check_shift(split: Split, source: dict[str, Any], place: str) -> None:
    """Raises UserError where there is no such corruption, or nothing that it could be of."""
    assert split.shift is not None
    if split.role not in ("cross-domain", "shifted"):
        raise UserError(f"{place}: key 'shift': role {split.role} is about images as they are; allowed: cross-domain")
    with at(f"{place}.shift: key 'kind'"):
        registry.load_named("shift", split.shift.kind)
    if not make_source(source).has_images:
        raise UserError(f"{place}: key 'shift': '{source['name']}' is no source of images; leave it out")


def _refuse_leak(split: Split, training: dict[str, Any], suite: Suite, place: str) -> None:
    """Refuse a split whose classes are not what its role says, as far as the training source itself is concerned."""
    known, trained = split.role in ("meta-train", "recurring-task"), suite.training_classes
    if split.role == "cross-domain" or split.source not in (training, *training.get("sources", {}).values()):
        return
    if not (suite.kind.has_ways or (training and source_of(training)[0].has_parts)):
        return
    if known and split.classes != trained:
        allowed, reason = f"'{trained}'", "is about the training classes"
    elif not known and trained == "all":
        allowed, reason = "another source", "must not contain training classes, which are all of this source"
    elif not known and split.classes in ("train", "all"):
        allowed, reason = "'val' or 'test'", "must not contain training classes"
    else:
        return
    raise UserError(f"{place}: key 'classes' = '{split.classes}': role {split.role} {reason}; allowed: {allowed}")


def _resolve_model(table: dict[str, Any], place: str) -> dict[str, Any]:
    _named_table(table, "model", place)
    with at(f"{place}: key 'name'"):
        model = registry.load("model", table["name"])
    fields: dict[str, Any] = registry.options(model, given=2)  # x_shape and outputs
    options = create_model(table["name"], __base__=Section, **fields)
    chosen = validated(options, {key: value for key, value in table.items() if key != "name"}, place)
    return {"name": table["name"], **chosen.model_dump(mode="json")}
