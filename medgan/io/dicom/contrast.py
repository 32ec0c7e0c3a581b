"""What an image emphasises, told from its acquisition parameters."""

from medgan.io.dicom.functional_groups import FrameHeader

_NAMED = {"T1": "T1", "T2": "T2", "PROTON_DENSITY": "PD", "FLUID_ATTENUATED": "FLAIR"}

SHORT_ECHO_MS, LONG_ECHO_MS = 35.0, 70.0
SHORT_REPETITION_MS, LONG_REPETITION_MS = 1200.0, 2000.0
FLAIR_INVERSION_MS = 1500.0
"""Times at 1.5 and 3 T that part the usual sequences; between them nothing is said.

Source: textbook ranges; no standard sets them. FLAIR: J. V. Hajnal et al., J Comput Assist Tomogr
16 (1992) 841.
"""


def contrast_of(part: FrameHeader, modality: str) -> str:
    """Name the contrast.

    Args:
        part: header of one frame.
        modality: "CT" or "MR".

    Returns:
        CT: "contrast" where an agent is named, else "". MR: "T1", "T2", "PD" or "FLAIR" where the
        header says so or echo, repetition and inversion times leave no doubt, else "".
    """
    if modality == "CT":
        return "contrast" if part.text("ContrastBolusAgent") else ""
    if named := _NAMED.get(part.text("AcquisitionContrast").upper()):
        return named
    echo, repetition = part.number_of("EchoTime"), part.number_of("RepetitionTime")
    inversion = part.number_of("InversionTime") or 0.0
    if echo is None or repetition is None or (part.number_of("DiffusionBValue") or 0) > 0:
        return ""
    if inversion > FLAIR_INVERSION_MS and echo > LONG_ECHO_MS:
        return "FLAIR"
    # Gradient echoes mix T1, T2* and steady state: only a prepared one, such as MPRAGE, is sure.
    if "GR" in part.texts("ScanningSequence"):
        return "T1" if inversion > 0 and echo < SHORT_ECHO_MS else ""
    if inversion > 0:
        return ""
    if repetition < SHORT_REPETITION_MS and echo < SHORT_ECHO_MS:
        return "T1"
    if repetition > LONG_REPETITION_MS and echo < SHORT_ECHO_MS:
        return "PD"
    return "T2" if repetition > LONG_REPETITION_MS and echo > LONG_ECHO_MS else ""
