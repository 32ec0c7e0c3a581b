"""Series from a DICOMweb server: looked for by QIDO-RS, fetched by WADO-RS."""

import io
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pydicom
from pydicom import Dataset

from medgan.errors import FileError, MedganError
from medgan.node.config import FetchConfig
from medgan.node.instance import Claim, series_name
from medgan.node.journal import Journal
from medgan.node.queue import Queue
from medgan.node.web import Meter, client_of, session_of, web_errors

log = logging.getLogger(__name__)

ANY_SYNTAX = (("application/dicom", "*"),)
"""As the server has them: nothing is recoded on the way."""


@dataclass(frozen=True)
class _Found:
    """A series on the server."""

    study_uid: str
    series_uid: str
    instances: int

    @property
    def name(self) -> str:
        return series_name(self.study_uid, self.series_uid)


class Fetcher:
    """What looks for series and fetches those that the queue does not have.

    A series is fetched once the server has said the same number of instances for as long as the
    queue waits for silence; it is fetched again when the server has more of them.

    Args:
        config: the server, and what is wanted of it.
        queue: of the node.
        journal: of the node.
        stopping: whether the node is to stop.

    Raises:
        ConfigError: a password is missing.
    """

    def __init__(
        self,
        config: FetchConfig,
        queue: Queue,
        journal: Journal,
        stopping: Callable[[], bool],
    ) -> None:
        self.config, self.queue, self.journal, self.stopping = config, queue, journal, stopping
        session = session_of(config)
        self._meter = Meter(session, config.max_instance_mb)
        self._client = client_of(config, session)
        self._seen: dict[str, tuple[int, float]] = {}
        self._matching: int | None = None

    def step(self) -> None:
        """Look once, and fetch what has stopped growing."""
        try:
            found = self.look()
        except MedganError as error:
            self.journal.note("fetcher", error)
            return
        if len(found) != self._matching:
            self._matching = len(found)
            days = self.config.days
            since = "of all time" if days is None else f"of the last {days + 1} days"
            log.info("fetch: %d %s series match, %s", len(found), self.queue.modality, since)
        self._seen = {s.name: self._seen.get(s.name, (0, 0.0)) for s in found}
        for series in found:
            if self.stopping():
                return
            if self._is_due(series):
                self._try(series)

    def look(self) -> list[_Found]:
        """The series on the server that fit.

        Raises:
            NetworkError: it cannot be asked.
        """
        filters: dict[str, Any] = {"Modality": self.queue.modality, **self.config.filters}
        if self.config.days is not None:
            first = date.today() - timedelta(days=self.config.days)
            filters["StudyDate"] = f"{first:%Y%m%d}-"
        with web_errors(self.config):
            answers = self._client.search_for_series(
                search_filters=filters,
                fields=["NumberOfSeriesRelatedInstances"],
                get_remaining=True,
            )
            return [self._found(Dataset.from_json(answer)) for answer in answers]

    def _found(self, answer: Dataset) -> _Found:
        study, series = str(answer.StudyInstanceUID), str(answer.SeriesInstanceUID)
        count = answer.get("NumberOfSeriesRelatedInstances")
        if count is None:
            instances = self._client.search_for_instances(study, series, get_remaining=True)
            count = len(instances)
        return _Found(study, series, int(count))

    def _is_due(self, series: _Found) -> bool:
        """Whether the server has more of it than the queue, and has stopped getting more."""
        item = self.queue.get(series.name)
        if item is not None:
            have = item.expected if item.state == "failed" else item.instances
            if (have or 0) >= series.instances:
                return False
        count, since = self._seen[series.name]
        if count != series.instances:
            self._seen[series.name] = (series.instances, time.monotonic())
            return False
        return time.monotonic() - since >= self.queue.config.quiet_seconds

    def _try(self, series: _Found) -> None:
        where = f"series {series.name}"
        try:
            self.queue.expect(series.name, series.instances)
            for content in self._instances(series):
                item = self.queue.receive(content, Claim(series=series.name))
                log.debug("%s: %d instances", where, item.instances)
                if self.stopping():
                    return
            log.info("%s: fetched", where)
        except FileError as error:
            # The server would give the same again, however often it is asked.
            self.journal.note(where, error)
            self.queue.fail(series.name, str(error))
        except MedganError as error:
            self.journal.note(where, error)
        except Exception as error:
            self.journal.defect(where, error)

    def _instances(self, series: _Found) -> Iterator[bytes]:
        with web_errors(self.config):
            for dataset in self._client.iter_series(
                series.study_uid, series.series_uid, media_types=ANY_SYNTAX
            ):
                self._meter.begin()
                content = _encoded(dataset)
                self._meter.require(len(content))
                yield content


def _encoded(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset)
    return stream.getvalue()
