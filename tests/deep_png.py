"""16-bit PNGs that no library at hand writes: with an eXIf chunk, and grey with alpha."""

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


def write_deep_grey_png(path: Path, planes: np.ndarray) -> None:
    """Grey and alpha of 16 bits, (H, W, 2)."""
    height, width, _ = planes.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in planes)
    header = struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
