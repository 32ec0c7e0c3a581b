"""What a node listens to, how it translates, and where the results go."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyAddress, IPvAnyNetwork, field_validator, model_validator

from medgan.config import Frozen
from medgan.io.dicom import SeriesRule

# A backslash separates values in DICOM; the standard trims spaces at the ends (PS3.5 table 6.2-1).
AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class TlsConfig(Frozen):
    """Certificates of an encrypted connection, PEM files."""

    certificate: Path = Field(description="The node's own certificate, with those that signed it.")
    key: Path = Field(description="Its private key, without a passphrase.")
    ca: Path = Field(description="Authorities that the certificate of the other side must be from.")


class QueueConfig(Frozen):
    """Series on disk, on their way through the node."""

    folder: Path = Field(
        description="Of the queue; holds images of patients, so only its owner may look into it."
    )
    quiet_seconds: float = Field(
        30.0, gt=0, description="A series is complete when nothing new came for so long."
    )
    max_gb: float = Field(50.0, gt=0, description="Size of the queue at which nothing is accepted.")
    min_free_gb: float = Field(
        2.0, ge=0, description="Free space of the disk below which nothing is accepted."
    )
    keep_hours: float = Field(
        48.0, ge=0, description="Images of a series that is done are removed after this."
    )
    give_up_hours: float = Field(
        72.0, gt=0, description="Instances missing, or no destination reached, for so long: failed."
    )


class PeerConfig(Frozen):
    """Who may connect."""

    ae_title: AeTitle = Field(description="Calling AE title.")
    address: IPvAnyNetwork = Field(description="IP address or network, e.g. 10.1.2.0/24.")


class ReceiveConfig(Frozen):
    """C-STORE and C-ECHO."""

    address: IPvAnyAddress = Field(
        "127.0.0.1", validate_default=True, description="Interface to listen on."
    )
    port: Port = Field(11112, description="Of C-STORE and C-ECHO.")
    peers: tuple[PeerConfig, ...] = Field(min_length=1, description="Who may connect; all others "
        "are refused.")  # fmt: skip
    max_pdu: int = Field(
        65536, ge=4096, le=2**20, description="Largest PDU that senders are told to send, in bytes."
    )
    max_instance_mb: float = Field(512.0, gt=0, description="Largest instance; others are refused.")
    max_associations: int = Field(8, ge=1, description="Connections at the same time.")
    tls: TlsConfig | None = Field(None, description="null: not encrypted.")


class WebConfig(Frozen):
    """A DICOMweb server."""

    url: str = Field(description="Of its DICOMweb root, http or https.")
    user: str | None = Field(None, description="For HTTP basic authentication; null: none.")
    password_variable: str | None = Field(
        None, description="Environment variable that holds the password."
    )
    ca: Path | None = Field(None, description="Authorities for https; null: those of the system.")

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("must be http://HOST[:PORT][/PATH], or https")
        if parts.username or parts.password:
            raise ValueError("names a user: say so under user and password_variable")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.user is None) != (self.password_variable is None):
            raise ValueError("user and password_variable go together")
        return self


class FetchConfig(WebConfig):
    """Series that are looked for on a DICOMweb server."""

    filters: dict[str, str] = Field(
        {}, description="Attributes that a series must match, by keyword; * and ? stand for others."
    )
    days: int | None = Field(
        1, ge=0, description="Studies of today and so many days before; null: of all time."
    )
    interval_seconds: float = Field(60.0, gt=0, description="Pause between two looks.")
    max_instance_mb: float = Field(
        512.0, gt=0, description="Largest instance; a series with larger ones has failed."
    )


class StoreConfig(Frozen):
    """An archive that takes series by C-STORE."""

    ae_title: AeTitle = Field(description="Called AE title.")
    address: str = Field(min_length=1, description="Host name or IP address.")
    port: Port = Field(description="Of its C-STORE.")
    tls: TlsConfig | None = Field(None, description="null: not encrypted.")


class SendConfig(Frozen):
    """Where results go: to each archive that is named."""

    store: StoreConfig | None = Field(None, description="C-STORE.")
    web: WebConfig | None = Field(None, description="STOW-RS.")
    first_pause_seconds: float = Field(
        10.0, gt=0, description="Before the second try; doubles with every further one."
    )
    longest_pause_seconds: float = Field(3600.0, gt=0, description="It doubles up to this.")

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.store is None and self.web is None:
            raise ValueError("names neither store nor web: results would go nowhere")
        return self


class StatusConfig(Frozen):
    """The status page, JSON over HTTP."""

    address: IPvAnyAddress = Field(
        "127.0.0.1", validate_default=True, description="Interface to listen on."
    )
    port: Port = Field(11180, description="Of the page.")


class ListenConfig(Frozen):
    """A node, whole."""

    model: Path = Field(description="Run folder, model file, or models:/NAME@ALIAS of MLflow.")
    direction: Literal["forward", "backward"] = Field(
        "forward", description="forward: the model's source to target; backward: the other way."
    )
    series: str | None = Field(
        None, description="Rule for series, as of --series; others are left aside. null: all."
    )
    irregular: Literal["error", "resample"] = Field(
        "error", description="Refuse series of irregular geometry, or repair them and say so."
    )
    strict: bool = Field(False, description="Refuse sources and results that a guard warns of.")
    ae_title: AeTitle = Field("MEDGAN", description="Of the node, called and calling.")
    queue: QueueConfig
    receive: ReceiveConfig | None = Field(None, description="null: nothing by C-STORE.")
    fetch: FetchConfig | None = Field(None, description="null: nothing from DICOMweb.")
    send: SendConfig
    status: StatusConfig | None = Field(StatusConfig(), description="null: no status page.")

    @field_validator("series")
    @classmethod
    def _rule(cls, rule: str | None) -> str | None:
        if rule is not None:
            SeriesRule.parse(rule)
        return rule

    @model_validator(mode="after")
    def _from_somewhere(self) -> Self:
        if self.receive is None and self.fetch is None:
            raise ValueError("names neither receive nor fetch: nothing would come in")
        return self
