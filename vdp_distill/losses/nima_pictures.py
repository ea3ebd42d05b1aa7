"""Rated pictures to train NIMA on: which set a path names, what is held out, and the squares that are cut."""

from pathlib import Path

import torch
from torch import Tensor

from vdp_distill.losses.mdf_tasks import seed_images
from vdp_distill.losses.nima_ava import AVADataset
from vdp_distill.losses.nima_rated import RatedSet

__all__ = ["middle_crops", "open_set", "random_crops", "split_by_group"]

RATINGS_FILE, PICTURES_FOLDER = "AVA.txt", "images"
BUNDLED = ("astronaut", "chelsea", "coffee", "rocket")
"""Photographs that scikit-image carries."""


def open_set(data: str | Path | None, side: int) -> AVADataset | RatedSet:
    """The set that a path names: AVA, or photographs to be rated by rule; None for scikit-image's."""
    if data is not None and (Path(data) / RATINGS_FILE).is_file():
        # Copies of AVA lack some pictures; the card counts them.
        return AVADataset(Path(data) / RATINGS_FILE, Path(data) / PICTURES_FOLDER, side=side, missing="skip")
    if data is not None:
        return RatedSet([(seed.image[0] + 1) / 2 for seed in seed_images(data)], side)
    from skimage import data as bundled

    pictures = [getattr(bundled, name)() for name in BUNDLED]
    return RatedSet([torch.from_numpy(codes).permute(2, 0, 1) / 255 for codes in pictures], side)


def split_by_group(groups: list[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the samples to train on and to validate with; a group is on one side.

    Raises
    ------
    ValueError
        If there is only one group.

    Examples
    --------
    >>> split_by_group([0, 0, 1, 1], 0.2, seed=0)
    ([2, 3], [0, 1])
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError(f"training and validation take different photographs: give at least 2, got {len(names)}")
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    count = min(len(names) - 1, max(1, round(share * len(names))))
    held_out = {names[number] for number in order[:count]}
    train = [number for number, group in enumerate(groups) if group not in held_out]
    return train, [number for number, group in enumerate(groups) if group in held_out]


def random_crops(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of each image (N, C, H, W), anywhere."""
    room = torch.tensor(images.shape[-2:]) - side + 1
    corners = (torch.rand(len(images), 2, generator=generator) * room).long().tolist()
    pairs = zip(images, corners, strict=True)
    return torch.stack([image[:, top : top + side, left : left + side] for image, (top, left) in pairs])


def middle_crops(images: Tensor, side: int) -> Tensor:
    """The square in the middle of images (N, C, H, W)."""
    top, left = ((length - side) // 2 for length in images.shape[-2:])
    return images[..., top : top + side, left : left + side]
