"""Read and write images: 8 and 16 bit PNG, TIFF, JPEG, WebP, and the HDR formats Radiance ``.hdr`` and OpenEXR.

Everything goes through imageio v3 and its plugins (Pillow, tifffile, OpenCV), except OpenEXR, which OpenCV's wheels no
longer hold: the package OpenEXR of the Academy Software Foundation reads and writes it.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from vdp_distill.image_formats import READERS, openexr, signature

__all__ = ["Image", "READABLE", "read_image", "write_image", "file_hash"]

READABLE = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".hdr", ".exr")
"""Suffixes that a folder of images is searched for; :func:`read_image` itself goes by a file's first bytes."""


@dataclass(frozen=True)
class Image:
    """An image as it was in its file.

    Attributes
    ----------
    array
        float32 (H, W, C), C = 1 or 3: code values in 0..1, or linear light in the file's own scale.
    kind
        ``"code"`` (8 and 16 bit files) or ``"light"`` (``.hdr``, ``.exr``, floating-point TIFF).
    bits
        Bits a channel in the file.
    sha256
        Of the file's bytes.
    notes
        What was left out or changed while reading, a sentence each; empty if nothing was.
    """

    array: np.ndarray
    kind: str
    bits: int
    sha256: str
    notes: tuple[str, ...] = ()


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_image(path: str | Path, *, grey: str = "keep", alpha: str = "drop", scaled: bool = True) -> Image:
    """Read an image file.

    Parameters
    ----------
    path
        The file; its first bytes, not its name, say what it is.
    grey
        ``"keep"`` one channel, or ``"expand"`` it to three equal ones.
    alpha
        ``"drop"`` the alpha channel, blend over ``"black"`` or ``"white"``, or ``"refuse"``. What was done is in
        ``notes``.
    scaled
        False leaves the codes of 8 and 16 bit files as the integers that they are.

    Returns
    -------
    Image
        Turned as its EXIF orientation says; of several pages or frames the first.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no image, is cut short, or holds what this function does not read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_image(path, np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4, 1))
    >>> image = read_image(path)
    >>> image.kind, image.bits, image.array.shape
    ('code', 8, (3, 4, 1))
    """
    _choice(grey, ("keep", "expand"), "grey")
    _choice(alpha, ("drop", "black", "white", "refuse"), "alpha")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image file {path}; give the path of a PNG, JPEG, WebP, TIFF, .hdr or .exr file")
    kind = signature(path)
    try:
        planes, notes = READERS[kind](path)
    except ImportError:
        raise
    except Exception as error:  # every codec raises its own kind
        raise ValueError(f"cannot read {path} as an image (cut short, or no image?): {error}") from error
    image = _with_channels(_as_image(planes, file_hash(path), notes, path), grey, alpha, path, kind == "exr")
    return _in_unit_range(image) if scaled else image


def _choice(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _as_image(planes: np.ndarray, sha256: str, notes: list[str], path: Path) -> Image:
    if planes.ndim == 2:
        planes = planes[..., None]
    if planes.ndim != 3 or not 1 <= planes.shape[2] <= 4 or planes.size == 0:
        raise ValueError(f"{path}: an image has 1 to 4 channels, this file gives an array of shape {planes.shape}")
    if planes.dtype == np.bool_:
        planes = planes.astype(np.uint8) * np.uint8(255)
    if planes.dtype in (np.uint8, np.uint16):
        return Image(planes, "code", planes.dtype.itemsize * 8, sha256, tuple(notes))
    if np.issubdtype(planes.dtype, np.floating):
        return Image(planes.astype(np.float32), "light", planes.dtype.itemsize * 8, sha256, tuple(notes))
    raise ValueError(f"{path}: values of type {planes.dtype} have no known range; 8 or 16 bit or floating point do")


def _with_channels(image: Image, grey: str, alpha: str, path: Path, is_multiplied: bool) -> Image:
    planes, notes = image.array, image.notes
    if planes.shape[2] in (2, 4):
        if alpha == "refuse":
            raise ValueError(f"{path} has an alpha channel; drop or blend it (alpha='drop', 'black' or 'white')")
        colour, cover = planes[..., :-1], planes[..., -1:]
        ground = {"black": 0.0, "white": 1.0}.get(alpha)
        planes = colour if ground is None else _blended(colour, cover, ground, is_multiplied)
        notes += ("alpha dropped" if ground is None else f"alpha blended over {alpha}",)
    if planes.shape[2] == 1 and grey == "expand":
        planes, notes = np.repeat(planes, 3, axis=2), (*notes, "grey expanded to three channels")
    return replace(image, array=np.ascontiguousarray(planes), notes=notes)


def _blended(colour: np.ndarray, cover: np.ndarray, ground: float, is_multiplied: bool) -> np.ndarray:
    """Over a ground; colours of OpenEXR are multiplied by their cover already."""
    largest = np.iinfo(colour.dtype).max if colour.dtype.kind == "u" else 1
    share = cover / np.float32(largest)
    mixed = (colour if is_multiplied else colour * share) + ground * largest * (1 - share)
    return (np.rint(mixed) if largest > 1 else mixed).astype(colour.dtype)


def _in_unit_range(image: Image) -> Image:
    if image.array.dtype.kind != "u":
        return image
    largest = np.float32(np.iinfo(image.array.dtype).max)
    return replace(image, array=image.array.astype(np.float32) / largest)


def write_image(path: str | Path, array: np.ndarray, *, bits: int = 8) -> None:
    """Write an image; the suffix says in which format.

    Parameters
    ----------
    path
        ``.png``, ``.tif``, ``.jpg``, ``.webp`` for code values; ``.hdr``, ``.exr`` for light.
    array
        (H, W), (H, W, 1) or (H, W, 3): uint8 or uint16 as they are, floating point code values in 0..1, or light.
    bits
        8 or 16 (PNG and TIFF) for floating point code values.

    Raises
    ------
    ValueError
        For values outside 0..1, a format that cannot hold them, or an unknown suffix.
    OSError
        If the file cannot be written.
    """
    path, array = Path(path), np.asarray(array)
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise ValueError(f"cannot write {path}: the suffix must be one of {', '.join(READABLE)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if suffix not in (".exr", ".hdr"):
        array = _as_codes(array, bits, path)
    if suffix == ".hdr" and not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"cannot write {path}: .hdr holds light of at least 0, no NaN and no infinity; use .exr")
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")  # codecs go by the suffix
    try:
        _encode(partial, suffix, array)
        os.replace(partial, path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}; what was there before is untouched") from error
    finally:
        partial.unlink(missing_ok=True)


def _encode(path: Path, suffix: str, array: np.ndarray) -> None:
    if suffix == ".exr":
        name = "Y" if array.ndim == 2 else "RGB"
        openexr().File({}, {name: np.ascontiguousarray(array, np.float32)}).write(str(path))
    elif suffix == ".hdr":
        iio.imwrite(path, np.asarray(array, np.float32), plugin="opencv")
    else:
        sixteen = {".png": "opencv", ".tif": "tifffile", ".tiff": "tifffile"}
        iio.imwrite(path, array, plugin=sixteen[suffix] if array.dtype == np.uint16 else "pillow")


def _as_codes(array: np.ndarray, bits: int, path: Path) -> np.ndarray:
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        codes = array.astype(array.dtype.newbyteorder("="))
    else:
        if bits not in (8, 16):
            raise ValueError(f"bits must be 8 or 16, got {bits}")
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"cannot write {path}: code values must lie in 0..1, got {low:.6g} to {high:.6g}")
        codes = np.rint(array.astype(np.float64) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    if codes.dtype == np.uint16 and path.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise ValueError(f"cannot write {path}: {path.suffix} holds 8 bits; use .png or .tif for 16")
    return codes
