"""A source for a file of examples: recordings as lines of JSON, with a label, a patient and a clinic."""

import json
from pathlib import Path

import numpy as np
from metagap.errors import UserError
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records
from pydantic import Field


class Recordings(RecordSource):
    """Recordings of several channels, one in each line of a file: a task is a patient, a domain a clinic."""

    licence = citation = "yours"

    file: str = Field(description="a .jsonl file with the keys signal, label, patient and clinic in each line")

    def records(self):
        try:
            lines = [json.loads(line) for line in Path(self.file).read_text().splitlines()]
            signal = np.array([line["signal"] for line in lines], np.float32)  # (n, channels, time)
            columns = {key: np.array([str(line[key]) for line in lines]) for key in ("label", "patient", "clinic")}
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"file = '{self.file}': {error!r}") from None
        classes, y = np.unique(columns["label"], return_inverse=True)
        return Records(signal, y, classes.tolist(), columns["patient"], columns["clinic"])


if __name__ == "__main__":
    from metagap.cli import app

    app(["show", f"{__file__}:Recordings"])
