"""The errors medgan raises on purpose: one small tree.

Every one is the user's to mend: the command line prints its message and exits with 2. The message
says what is wrong, where, the measured value, the limit and the remedy, as far as each applies, and
never contains patient data. Anything else that escapes is a defect of medgan.
"""


class MedganError(ValueError):
    """Something the user gave cannot be used as it is.

    Args:
        what: the fault in one clause, without a full stop.
        where: file, configuration key or object concerned.
        measured: the value found.
        limit: the value allowed.
        remedy: what to do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        measured: object = None,
        limit: object = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.measured = measured
        self.limit = limit
        self.remedy = remedy
        message = what if where is None else f"{where}: {what}"
        facts = [
            f"{name} {value}"
            for name, value in (("measured", measured), ("allowed", limit))
            if value is not None
        ]
        if facts:
            message += f" ({', '.join(facts)})"
        super().__init__(f"{message}. {remedy}." if remedy else message)


class FileError(MedganError):
    """A file is missing, damaged, of the wrong kind, or too large."""


class OutputError(MedganError):
    """A result cannot be written: disk full, no permission, already there."""


class GeometryError(MedganError):
    """An image's place in the patient is missing, contradictory or unsupported."""


class DataError(MedganError):
    """Voxel values or a set of samples cannot be used: NaN, empty mask, shared patients."""


class ConfigError(MedganError):
    """A configuration or an option is wrong; every fault found is in the one message."""


class ModelError(MedganError):
    """A model file or checkpoint is damaged or belongs to another architecture."""


class TrainingError(MedganError):
    """Training cannot go on: diverged, or resumed under changed conditions."""


class NetworkError(MedganError):
    """Another system cannot be reached, refuses, or answers with an error."""
