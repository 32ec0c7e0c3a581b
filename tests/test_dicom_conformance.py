"""The conformance statement beside the code that it speaks of."""

import re
from pathlib import Path

import pydicom
import pytest
from dicom_tools import DERIVATION, source
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from medgan.cli.codec_frames import FRAMES
from medgan.errors import MedganError
from medgan.io.dicom.decode import require_decoder
from medgan.io.dicom.frames import IMAGE_CLASSES
from medgan.io.dicom.write import write_derived, write_parametric_map
from medgan.node import destinations, receiver
from medgan.node.config import ReceiveConfig
from medgan.volumes import Volume

PAGE = (Path(__file__).parents[1] / "docs" / "dicom_conformance.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    _, _, rest = PAGE.partition(f"### {heading}\n")
    return re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(heading: str) -> list[list[str]]:
    lines = (line for line in section(heading).splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][1:]


def decodable(syntax: str) -> bool:
    if not UID(syntax).is_encapsulated:
        # the two families without compression; ST 2110 is a stream, never a file
        return not syntax.startswith("1.2.840.10008.1.2.7")
    try:
        require_decoder(UID(syntax), "a file")
    except MedganError:
        return False
    return True


def test_the_classes_that_are_read_are_those_of_the_code_by_the_name_of_the_standard() -> None:
    assert {uid: modality for _, uid, modality in rows("Read")} == IMAGE_CLASSES
    for name, uid, _ in rows("Read") + rows("Written"):
        assert UID(uid).name == name


def test_the_transfer_syntaxes_that_are_read_are_those_a_decoder_is_there_for() -> None:
    written = {uid: name for name, uid in rows("Read from files")}
    # with those that were retired, which pydicom's own list leaves out
    known = [uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"]
    assert set(written) == {uid for uid in known if decodable(uid)}
    for uid, name in written.items():
        assert UID(uid).name == name


def test_the_doctor_decodes_an_image_in_every_compressed_syntax_that_is_read() -> None:
    read = {uid for _, uid in rows("Read from files")}
    tried = {uid for frames in FRAMES.values() for uid in frames}
    assert tried == {uid for uid in read if UID(uid).is_encapsulated}


def test_the_classes_and_the_transfer_syntax_that_are_written(tmp_path: Path) -> None:
    made = {}
    for modality, synthetic in (("MR", "CT"), ("CT", "MR")):
        original = source("regular", tmp_path / modality, modality)
        array = original.volume.array.astype("int16")
        volume = Volume(
            array, original.volume.affine, synthetic, synthetic=True,
            frame_of_reference=original.volume.frame_of_reference,
        )  # fmt: skip
        folder = tmp_path / f"s{synthetic}"
        write_derived(volume, original, folder, DERIVATION)
        made[synthetic] = pydicom.dcmread(next(folder.iterdir()))
    path = tmp_path / "map.dcm"
    values = original.volume.array.astype("float32") / 1e4
    attention = original.volume.with_array(values)
    write_parametric_map(attention, original, path, DERIVATION, label="attention")
    files = [*made.values(), pydicom.dcmread(path)]
    assert {file.SOPClassUID for file in files} == {uid for _, uid, _ in rows("Written")}
    assert all(file.file_meta.TransferSyntaxUID in section("Written to files") for file in files)


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_the_node_accepts_the_classes_of_its_modality_and_nothing_else(modality: str) -> None:
    class _Queue:
        pass

    queue = _Queue()
    queue.modality = modality
    config = ReceiveConfig(peers=[{"ae_title": "A", "address": "127.0.0.1"}])
    accepted = receiver.Receiver(config, "MEDGAN", queue, None)._entity.supported_contexts
    classes = {context.abstract_syntax: context.transfer_syntax for context in accepted}
    read = {uid for _, uid, of in rows("Read") if of == modality}
    assert set(classes) == read | {Verification}
    assert Verification in section("As acceptor")
    assert all(set(classes[uid]) == set(AllTransferSyntaxes) for uid in read)
    assert f"({config.max_associations})" in section("As acceptor")
    assert f"({config.max_pdu} bytes)" in section("As acceptor")
    assert f"silence of {receiver.IDLE_SECONDS:g} s" in section("As acceptor")


def test_what_the_node_proposes_and_takes_for_stored_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proposed = {}

    def associate(entity, *_arguments, **_more):
        proposed.update({c.abstract_syntax: c.transfer_syntax for c in entity.requested_contexts})
        raise InterruptedError

    monkeypatch.setattr(AE, "associate", associate)
    store = destinations.StoreConfig(ae_title="A", address="127.0.0.1", port=1)
    archive = destinations.StoreArchive(store, "MEDGAN", "CT")
    with pytest.raises(InterruptedError):
        archive.send([], lambda: False)
    assert set(proposed) == {uid for _, uid, of in rows("Read") if of == "CT"}
    names = [UID(uid).name for uid in next(iter(proposed.values()))]
    assert names == ["Explicit VR Little Endian", "Implicit VR Little Endian"]
    text = section("As requestor")
    assert "Explicit and Implicit VR Little Endian" in text
    assert "Statuses 0000, B000, B006 and B007" in text
    assert set(destinations.STORED) == {0x0000, 0xB000, 0xB006, 0xB007}
    seconds = destinations.CONNECTION_SECONDS, destinations.ANSWER_SECONDS
    assert seconds == (10, 120)
    assert "waited for 10 s, an answer 120 s" in text
    assert f"{destinations.MESSAGE_BYTES // 10**6} MB" in section("DICOMweb")
