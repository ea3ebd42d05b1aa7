"""Pictures for ``jnd``: what is encoded, what it is judged against, and the metadata that goes along.

Pixels are encoded as they are stored, with their profile and EXIF orientation beside them; what is judged is what a
display would show (:mod:`vdp_distill.jnd.shown`).
"""

import io
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from vdp_distill.image_formats import signature
from vdp_distill.io import read_image
from vdp_distill.jnd.codecs import COLOUR_QUALITY, Codec, jpeg_tables
from vdp_distill.jnd.shown import Shown, in_srgb, of_mode, over_white

__all__ = ["Picture", "read_picture"]

MODES = {"1": "L", "P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "La": "LA"}
"""What modes that are not encoded as they are become."""

METADATA = ("exif", "icc_profile", "xmp", "dpi")
JPEG_SEGMENT = 65_000
"""Bytes of metadata that a JPEG holds in one piece, a little less than its 64 kB."""

ORIENTATION = ExifTags.Base.Orientation


@dataclass(frozen=True)
class Picture:
    """A picture to be encoded.

    Attributes
    ----------
    image
        What is encoded: 8 bits, mode L, LA, RGB or RGBA, as it is stored.
    codes
        What a file is judged against: (H, W, 3), sRGB, uint8, or float32 in 0..1 where the original has more bits.
    metadata
        Pillow's arguments for EXIF, ICC profile, XMP and resolution.
    notes
        What was changed, a sentence each.
    """

    image: Image.Image
    codes: np.ndarray
    metadata: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def encode(self, codec: Codec, quality: int) -> bytes:
        """The whole file at a quality, metadata included."""
        data, how = io.BytesIO(), {"quality": quality}
        if codec.name == "JPEG" and self.image.mode == "RGB":
            how = {"qtables": [jpeg_tables(quality)[0], jpeg_tables(max(quality, COLOUR_QUALITY))[1]]}
        try:
            self.image.save(data, codec.name, **how, **codec.options, **self.metadata)
        except (OSError, ValueError, MemoryError) as error:
            width, height = self.image.size
            raise ValueError(f"{codec.name} cannot hold this picture of {width} x {height} pixels: {error}") from error
        return data.getvalue()

    def opaque(self) -> "Picture":
        """The same over white, where it has transparency."""
        return replace(self, image=over_white(self.image)) if self.image.has_transparency_data else self

    def shown(self, data: bytes) -> Shown:
        """What a display shows of an encoded file."""
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return Shown(of_mode(image, self.image.mode), self.metadata.get("icc_profile"))


def read_picture(source: str | Path | np.ndarray | Image.Image, codec: Codec) -> Picture:
    """A picture from a file, an array or a Pillow image, made ready for a codec.

    Parameters
    ----------
    source
        Path of an 8 or 16 bit file; array (H, W) or (H, W, 1, 3 or 4), uint8, uint16, or floating point in 0..1; or a
        Pillow image.
    codec
        Where transparency goes if it has none: over white.

    Raises
    ------
    FileNotFoundError, ValueError
        For what is missing, no picture, or light rather than code values.
    """
    if isinstance(source, np.ndarray):
        return _prepared(*_from_array(source), {}, (), codec)
    if isinstance(source, Image.Image):
        return _prepared(source, None, *_metadata(source), codec)
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"no picture {path}")
    kind = signature(path)
    if kind != "pillow":
        found = read_image(path, alpha="white", scaled=False)
        if found.kind == "light":
            raise ValueError(f"{path} holds light, not code values; jnd encodes pictures of 8 or 16 bits")
        if found.bits == 16:
            metadata, damage = _metadata_of(path)
            return _prepared(*_from_array(found.array), _upright(metadata), (*found.notes, *damage), codec)
    image, metadata, notes = _opened(path)
    return _prepared(image, None, metadata, notes, codec)


def _opened(path: Path) -> tuple[Image.Image, dict, tuple[str, ...]]:
    """A picture of 8 bits, read to its end, with its metadata and what was left out."""
    try:
        with open(path, "rb") as file:
            image = Image.open(file)
            notes = ("first of several frames",) if getattr(image, "n_frames", 1) > 1 else ()
            image.seek(0)
            image.load()
            metadata, damage = _metadata(image)
            return image, metadata, (*notes, *damage)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read {path} as a picture (cut short, or none?): {error}") from error


def _metadata(image: Image.Image) -> tuple[dict, tuple[str, ...]]:
    """Metadata, and a note where some are left out."""
    found = {name: image.info[name] for name in METADATA if image.info.get(name)}
    if "exif" not in found and len(exif := image.getexif()):
        found["exif"] = exif.tobytes()
    if _exif(found) is None:
        del found["exif"]
        return found, ("its EXIF data are damaged: left out",)
    return found, ()


def _exif(metadata: dict) -> Image.Exif | None:
    """What the EXIF data say; None where they are damaged."""
    exif = Image.Exif()
    try:
        exif.load(metadata.get("exif", b""))
        exif.get_ifd(ExifTags.IFD.Exif)
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError, OSError, struct.error):
        return None
    return exif


def _metadata_of(path: Path) -> tuple[dict, tuple[str, ...]]:
    """Of a file whose pixels another reader gives; none where Pillow does not know its kind."""
    try:
        with Image.open(path) as image:
            return _metadata(image)
    except (UnidentifiedImageError, OSError):
        return {}, ()


def _upright(metadata: dict) -> dict:
    """Of a picture whose pixels were turned as its EXIF orientation says, which then no longer holds."""
    if _orientation(metadata) == 1:
        return metadata
    exif = _exif(metadata)
    del exif[ORIENTATION]
    return metadata | {"exif": exif.tobytes()}


def _from_array(array: np.ndarray) -> tuple[Image.Image, np.ndarray]:
    """8 bits to encode, and the code values that they came from."""
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ValueError(f"a picture must be (H, W) or (H, W, 1, 3 or 4), got an array of shape {array.shape}")
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        codes = array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    else:
        codes = array.astype(np.float32)
        if not (codes.min() >= 0 and codes.max() <= 1):
            raise ValueError(
                f"a picture of floating point must lie in 0..1, got {codes.min():.4g} to {codes.max():.4g}"
            )
    eight = np.rint(codes * 255).astype(np.uint8)
    return Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight), codes


def _prepared(
    image: Image.Image, codes: np.ndarray | None, metadata: dict, notes: tuple[str, ...], codec: Codec
) -> Picture:
    if image.mode in ("CMYK", "LAB") and "icc_profile" in metadata:
        image, about = in_srgb(image, metadata["icc_profile"])
        metadata = {name: value for name, value in metadata.items() if name != "icc_profile"}
        notes = (*notes, *(note.replace("kept; judged", "replaced: stored") for note in about))
    too_long = [
        name for name in ("exif", "xmp") if codec.name == "JPEG" and len(metadata.get(name, b"")) > JPEG_SEGMENT
    ]
    metadata = {name: value for name, value in metadata.items() if name not in too_long}
    notes = (*notes, *(f"its {name.upper()} data are longer than a JPEG can hold: left out" for name in too_long))
    image, changed = _in_mode(image, codec)
    shown = Shown(image, metadata.get("icc_profile"))
    own, notes = shown[:, :], (*notes, *changed, *shown.notes)
    if codes is not None and codes.shape[2] in (1, 3) and not shown.notes:
        if np.abs(codes * 255 - np.rint(codes * 255)).max() > 1e-3:
            notes = (*notes, "more than 8 bits: judged against all of them, stored with 8")
        own = np.ascontiguousarray(np.broadcast_to(codes, own.shape))
    if _orientation(metadata) != 1:
        notes = (*notes, "stored turned, as the original; its EXIF orientation is kept")
    return Picture(image, own, metadata, notes)


def _orientation(metadata: dict) -> int:
    return _exif(metadata).get(ORIENTATION, 1)


def _in_mode(image: Image.Image, codec: Codec) -> tuple[Image.Image, tuple[str, ...]]:
    """A picture in a mode that the codec takes, and what that changed."""
    mode = MODES.get(image.mode, image.mode)
    if image.mode in ("P", "RGB", "L") and "transparency" in image.info:
        mode = "RGBA"
    notes = () if mode == image.mode else (f"{image.mode} converted to {mode}",)
    image = of_mode(image, mode)
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(f"pictures of mode {image.mode} are not encoded; give 8 or 16 bits of grey or RGB")
    if image.has_transparency_data and not codec.alpha:
        return over_white(image), (*notes, f"transparency blended over white: {codec.name} has none")
    if image.has_transparency_data:
        notes = (*notes, "transparency kept, judged over white")
    return image, notes
