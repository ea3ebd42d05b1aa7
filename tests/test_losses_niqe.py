"""NIQE: its features against literal ones, its fits against draws, its laws, and the files of its model."""

import numpy as np
import pytest
import torch
from loss_weights import photograph
from safetensors.torch import save_file
from scipy.io import savemat
from scipy.ndimage import correlate
from scipy.special import gamma
from scipy.stats import gennorm

from vdp_distill.losses import MissingWeights, create
from vdp_distill.losses.niqe import BLOCK, NIQE, Pristine, _fit, block_features, fit_pristine, read_pristine

SIDE = 2 * BLOCK


@pytest.fixture(scope="module")
def pictures():
    return photograph(SIDE)


@pytest.fixture(scope="module")
def model(pictures):
    return fit_pristine(pictures)


# Against a literal program, with loops and scipy


def literal_normalised(grey):
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * (7 / 6) ** 2))
    mean = correlate(grey, window / window.sum(), mode="nearest")
    square = correlate(grey**2, window / window.sum(), mode="nearest")
    return (grey - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)


def literal_fit(values):
    left, right = (np.sqrt(np.mean(values[chosen] ** 2)) for chosen in (values < 0, values > 0))
    ratio = left / right
    wanted = np.mean(np.abs(values)) ** 2 / np.mean(values**2) * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes = np.linspace(0.2, 10, 9801)
    shape = shapes[np.argmin((gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes)) - wanted) ** 2)]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def literal_features(block):
    shape, left, right = literal_fit(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = literal_fit(block * np.roll(block, shift, axis=(0, 1)))
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return found


def literal_half(grey):
    """Keys' cubic, twice as wide, at every second place between pixels; the border mirrored."""

    def cubic(x):
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2

    taps = np.array([cubic(abs(offset) / 2) for offset in np.arange(-3.5, 4)])
    for axis in (0, 1):
        grey = np.apply_along_axis(
            lambda line: np.convolve(np.pad(line, 3, mode="symmetric"), taps / taps.sum(), "valid")[::2], axis, grey
        )
    return grey


def test_features_are_those_of_a_literal_program(pictures):
    codes = np.rint(255 * np.tensordot([0.298936021293775, 0.587043074451121, 0.114020904255103], pictures[0], 1))
    planes = [literal_normalised(codes), literal_normalised(literal_half(codes))]
    expected = []
    for row in (0, 1):
        for column in (0, 1):
            both = []
            for plane, side in zip(planes, (BLOCK, BLOCK // 2), strict=True):
                both += literal_features(plane[row * side :, column * side :][:side, :side])
            expected.append(both)
    # The shape is looked up in steps of 0.001; everything else is float64.
    np.testing.assert_allclose(block_features(pictures[0]).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_the_score_is_the_papers_distance(pictures, model):
    features = block_features((0.6 * pictures[0]).clamp(0, 1)).numpy()
    off = model.mean.numpy() - features.mean(axis=0)
    middle = (model.covariance.numpy() + np.cov(features, rowvar=False)) / 2
    found = NIQE(model)(0.6 * pictures[:1], pictures[:1])
    # Six blocks and eight describe 36 numbers: the inverse is a pseudo-inverse, and its cut is at 1e-14 of the largest.
    assert float(found) == pytest.approx(np.sqrt(off @ np.linalg.pinv(middle, rcond=36 * 2.3e-16) @ off), rel=1e-6)


@pytest.mark.parametrize(("shape", "left", "right"), [(2.0, 1.0, 1.0), (1.0, 0.5, 0.5), (0.7, 0.4, 1.2)])
def test_a_fit_finds_what_was_drawn(shape, left, right):
    draws = np.abs(gennorm.rvs(shape, size=400_000, random_state=0))
    # Each side has a share of the draws as large as its scale.
    is_left = np.random.default_rng(1).random(len(draws)) < left / (left + right)
    values = torch.from_numpy(np.where(is_left, -left * draws, right * draws))[None]
    # 400,000 draws: moments are known within 1 %.
    np.testing.assert_allclose([float(value) for value in _fit(values)], [shape, left, right], rtol=0.02)


# Laws


def test_the_pictures_of_the_model_are_perfect_and_blurred_ones_are_not(pictures):
    own = NIQE(fit_pristine(pictures[:1]))
    blurred = torch.nn.functional.avg_pool2d(pictures[:1], 5, stride=1, padding=2, count_include_pad=False)
    assert float(own(pictures[:1], pictures[:1])) < 1e-9 < float(own(blurred, pictures[:1]))


def test_the_reference_is_not_looked_at(pictures, model):
    measure = create("niqe", model=model)
    assert measure(pictures, pictures) == measure(pictures, 0 * pictures)


def test_brightness_and_what_is_beyond_the_last_block_do_not_count(pictures, model):
    dark = 0.5 * pictures[:1]
    codes = 255 * (dark * dark.new_tensor([0.298936021293775, 0.587043074451121, 0.114020904255103])[:, None, None])
    grey = codes.sum(dim=1, keepdim=True).round() / 255
    measure = NIQE(model)
    # Less 10 codes nowhere clipped; float64.
    torch.testing.assert_close(measure(grey + 10 / 255, grey), measure(grey, grey), rtol=1e-6, atol=1e-9)
    wider = torch.nn.functional.pad(grey, (0, 7, 0, 5), mode="replicate")
    torch.testing.assert_close(measure(wider, wider), measure(grey, grey), rtol=1e-6, atol=1e-9)


def test_a_flat_half_is_left_out_and_a_flat_image_refused(pictures, model):
    part = photograph(3 * BLOCK)[:1].clone()
    part[..., : BLOCK + 16] = 0.5  # more than a block, for windows reach over its edge
    assert len(block_features(part[0])) == 6 and NIQE(model)(part, part).isfinite()
    with pytest.raises(ValueError, match="test image 1 has texture in 0 blocks of 96 x 96 pixels, NIQE needs 2"):
        NIQE(model)(torch.cat([pictures[:1], torch.full_like(pictures[:1], 0.5)]), pictures)


# Files


def test_a_model_from_a_file(model, tmp_path):
    mean, covariance = model.mean.numpy()[None], model.covariance.numpy()
    np.savez(tmp_path / "a.npz", mu_pris_param=mean, cov_pris_param=covariance, gaussian_window=np.ones((7, 7)))
    savemat(tmp_path / "b.mat", {"mu_prisparam": mean, "cov_prisparam": covariance})
    savemat(tmp_path / "c.mat", {"pop_mu": mean, "pop_cov": covariance})
    save_file({"mu_prisparam": model.mean, "cov_prisparam": model.covariance}, tmp_path / "d.safetensors")
    for name in ("a.npz", "b.mat", "c.mat", "d.safetensors"):
        found = read_pristine(tmp_path / name)
        assert isinstance(found, Pristine)
        assert torch.equal(found.mean, model.mean) and torch.equal(found.covariance, model.covariance)


def test_files_that_hold_none(tmp_path):
    with pytest.raises(MissingWeights, match="NIQE needs its model of pristine photographs: fetch https://.*model="):
        create("niqe")
    with pytest.raises(MissingWeights, match="there are no weights"):
        NIQE(tmp_path / "absent.mat")
    np.savez(tmp_path / "other.npz", mu_prisparam=np.ones((1, 36)))
    with pytest.raises(ValueError, match=r"holds no model of NIQE: expected mu_prisparam \(1, 36\).*got"):
        NIQE(tmp_path / "other.npz")
    np.savez(tmp_path / "objects.npz", mu_prisparam=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a whole .npz file of plain arrays"):
        NIQE(tmp_path / "objects.npz")
    (tmp_path / "cut.mat").write_bytes(b"MATLAB 5.0 MAT-file and no more")
    with pytest.raises(ValueError, match=r"is not a whole \.mat file"):
        NIQE(tmp_path / "cut.mat")


def test_overshoot_is_clipped_as_a_picture_of_8_bits_would_be():
    grey = 1.6 * (photograph(2 * BLOCK)[0].mean(dim=0, keepdim=True) - 0.5) + 0.5
    assert float(grey.min()) < -0.05 and float(grey.max()) > 1.05
    assert torch.equal(block_features(grey), block_features(grey.clamp(0, 1)))
