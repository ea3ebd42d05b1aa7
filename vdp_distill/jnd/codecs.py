"""The formats that ``jnd`` writes: their qualities, how Pillow is asked for them, and what is never given up."""

import io
from dataclasses import dataclass
from functools import cache

import PIL
from PIL import Image, features

__all__ = ["CODECS", "COLOUR_QUALITY", "Codec", "codec_named", "jpeg_tables"]


@dataclass(frozen=True)
class Codec:
    """How a format is written.

    Attributes
    ----------
    name
        Pillow's.
    suffix
        Of its files.
    qualities
        Lowest and highest.
    options
        Besides the quality.
    alpha
        Whether it holds transparency.
    feature
        What Pillow's build must have for it.
    """

    name: str
    suffix: str
    qualities: tuple[int, int]
    options: dict
    alpha: bool = True
    feature: str | None = None


CODECS = {
    "jpeg": Codec("JPEG", ".jpg", (1, 100), {"optimize": True}, False, "jpg"),
    "webp": Codec("WEBP", ".webp", (0, 100), {"method": 4, "alpha_quality": 100}, feature="webp"),
    "avif": Codec("AVIF", ".avif", (0, 100), {"speed": 6}, feature="avif"),
}
"""Formats by the name that ``--codec`` takes. Colour has half of the resolution, as each has it by default."""


def codec_named(name: str) -> Codec:
    """A codec by name, refused where this Pillow cannot write it."""
    if name not in CODECS:
        raise ValueError(f"codec must be one of {', '.join(CODECS)}, got {name!r}")
    codec = CODECS[name]
    if not features.check(codec.feature):
        have = [other for other, known in CODECS.items() if features.check(known.feature)]
        raise ValueError(
            f"Pillow {PIL.__version__} was built without {codec.name} here; its wheels from PyPI have it "
            f"(pip install --force-reinstall 'pillow>=11.3'), or choose among {', '.join(have)}"
        )
    return codec


COLOUR_QUALITY = 75
"""Least quality of a JPEG's colour: HDR-VDP sees luminance alone, and would let colour fall apart unseen."""


@cache
def jpeg_tables(quality: int) -> tuple[list[int], list[int]]:
    """Quantisation tables of luminance and of colour that the encoder takes at a quality."""
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, "JPEG", quality=quality)
    tables = Image.open(data).quantization
    return list(tables[0]), list(tables[1])
