"""Complete series through the model, one after the other, as ``medgan translate`` does it."""

import logging
import shutil
from typing import Any

from medgan.errors import MedganError
from medgan.inference.batch import Batch, Row
from medgan.inference.planning import Request, plan
from medgan.inference.translator import Translator
from medgan.io.dicom.errors import NoSeries
from medgan.node.config import ListenConfig
from medgan.node.item import Item, State
from medgan.node.journal import Journal
from medgan.node.queue import Queue

log = logging.getLogger(__name__)


class Translation:
    """What turns complete series into synthetic ones.

    Args:
        config: of the node.
        translator: its model and direction.
        queue: of the node.
        journal: of the node.
    """

    def __init__(
        self, config: ListenConfig, translator: Translator, queue: Queue, journal: Journal
    ) -> None:
        self.config, self.translator = config, translator
        self.queue, self.journal = queue, journal

    def step(self) -> bool:
        """Translate the series that has been complete for longest; whether there was one.

        Raises:
            OutputError: the record of the series cannot be written.
        """
        item = next(iter(self.queue.items("complete")), None)
        if item is None:
            return False
        begun = self.queue.advance(item, "translating", attempts=item.attempts + 1, sent=())
        if begun is None:
            return True
        state, changes = self._translate(begun)
        # Where an instance came meanwhile the series is being received again: the result is stale.
        if self.queue.advance(begun, state, attempts=0, **changes):
            if state == "failed":
                self.journal.note(f"series {item.name}", changes["error"])
            else:
                log.info("series %s: %s", item.name, changes["note"] or "translated")
        return True

    def _translate(self, item: Item) -> tuple[State, dict[str, Any]]:
        shutil.rmtree(self.queue.result(item.name), ignore_errors=True)
        try:
            batch = plan(self._request(item), self.translator)
            rows = list(batch)
            return _outcome(batch, rows or batch.rows)
        except MedganError as error:
            return "failed", {"error": str(error), "note": ""}
        except Exception as error:
            # Nothing that a series holds may stop the node.
            defect = self.journal.defect(f"series {item.name}", error)
            return "failed", {"error": defect, "note": ""}

    def _request(self, item: Item) -> Request:
        config = self.config
        return Request(
            model=config.model,
            source=self.queue.source(item.name),
            target=self.queue.result(item.name),
            direction=config.direction,
            to="dicom",
            series=config.series,
            irregular=config.irregular,
            strict=config.strict,
            created=item.created,
        )


def _outcome(batch: Batch, rows: list[Row]) -> tuple[State, dict[str, Any]]:
    """The state that follows from what became of the volumes of one series."""
    made = [row for row in rows if row.status == "translated"]
    if made:
        findings = sorted({name for row in made for name in row.findings})
        note = f"guards warned: {', '.join(findings)}" if findings else ""
        return "sending", {"error": "", "note": note}
    # Of a series that lies in the folder itself "." is all its name.
    errors = "; ".join(row.error.removeprefix(".: ") for row in batch.rows if row.error)
    left_aside = {record.error_type for record in batch.records.values()} <= {NoSeries.__name__, ""}
    if left_aside:
        return "done", {"error": "", "note": f"left aside: {errors}"}
    return "failed", {"error": errors, "note": ""}
