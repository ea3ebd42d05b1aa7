"""A 16-bit PNG with an eXIf chunk, which no library at hand writes."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def write_deep_png(path: Path, codes: np.ndarray, tags: Image.Exif) -> None:
    """RGB codes of 16 bits; the chunk stands before the pixels."""
    assert cv2.imwrite(str(path), codes[..., ::-1])
    whole, body = path.read_bytes(), tags.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    start = whole.index(b"IDAT") - 4
    path.write_bytes(whole[:start] + chunk + whole[start:])
