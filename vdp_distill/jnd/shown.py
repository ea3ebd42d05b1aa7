"""What a display shows of a picture: colours brought to sRGB where its profile says otherwise, transparency over white.

A part of a large picture is turned into what is shown when it is looked at, for a search looks at few parts of most
files.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

__all__ = ["Shown", "in_srgb", "of_mode", "over_white"]

PROFILES_REMEMBERED = 4
"""Transforms of colour that are kept."""


class Shown:
    """A picture as an sRGB display shows it, cut by two slices like an array (H, W, 3) of uint8.

    Parameters
    ----------
    image
        As it is stored: mode L, LA, RGB or RGBA.
    profile
        ICC profile of its colours; none for sRGB.

    Attributes
    ----------
    shape
        (H, W, 3).
    notes
        What was assumed, a sentence each.

    Examples
    --------
    >>> shown = Shown(Image.new("L", (40, 30), 128))
    >>> shown.shape, shown[5:9, :7].shape, int(shown[:, :].max())
    ((30, 40, 3), (4, 7, 3), 128)
    """

    def __init__(self, image: Image.Image, profile: bytes | None = None):
        self.image, self.shape = image, (image.height, image.width, 3)
        opaque = "L" if image.mode in ("L", "LA") else "RGB"
        self.to_srgb, self.notes = _to_srgb(profile, opaque) if profile else (None, ())

    def __getitem__(self, box: tuple[slice, slice]) -> np.ndarray:
        rows, columns = (range(length)[side] for length, side in zip(self.shape, box, strict=False))
        part = self.image.crop((columns.start, rows.start, columns.stop, rows.stop))
        part = over_white(part) if part.has_transparency_data else part
        part = ImageCms.applyTransform(part, self.to_srgb) if self.to_srgb else part
        return np.asarray(of_mode(part, "RGB"))


def over_white(image: Image.Image) -> Image.Image:
    """A transparent picture blended over white."""
    colour = image.convert("RGBA")
    blended = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    return blended.convert("L" if image.mode == "LA" else "RGB")


def of_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image itself where it has the mode: a conversion to the same one would copy it."""
    return image if image.mode == mode else image.convert(mode)


def in_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """A picture of any mode in sRGB, and what was assumed."""
    transform, notes = _to_srgb(profile, image.mode)
    return ImageCms.applyTransform(image, transform) if transform else image, notes


@lru_cache(maxsize=PROFILES_REMEMBERED)
def _to_srgb(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, tuple[str, ...]]:
    """What brings colours of a mode to sRGB, None if nothing has to, and what to say of it."""
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(own).strip()
        if "srgb" in name.lower():
            return None, ()
        transform = ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None, ("its colour profile cannot be read or applied: kept, judged as sRGB",)
    return transform, (f"colour profile {name!r} kept; judged as it shows on an sRGB display",)
