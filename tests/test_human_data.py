"""Sets of judgements: MCL-JCI's layouts and labels, what is missing is named, and the synthetic observers' rule."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from vdp_distill import HDRVDP2
from vdp_distill.human_data import MCLJCI, SyntheticObservers, read_labels
from vdp_distill.human_labels import name_of
from vdp_distill.judgements import Judgement, Viewing, deal_folds, reduce_image
from vdp_distill.synthetic_observers import Observers, fit_observers, level_at
from vdp_distill.synthetic_pictures import encoded, load_photographs

SIZE = (48, 64)
LEVELS = (10, 50, 90)


def picture(seed=0):
    array = photographs.astronaut()[40 * seed : 40 * seed + SIZE[0], 150 : 150 + SIZE[1]]
    return Image.fromarray(array)


def pairs_csv(path, sources=2):
    lines, shares = [], (1, 0.5, 0)
    for source in range(1, sources + 1):
        name = f"ImageJND_SRC{source:02d}"
        for level, share in zip(LEVELS, shares, strict=True):
            lines.append(f"{name}_100.npy,{name}_{level:03d}.npy,{share}")
    path.write_text("\n".join(lines) + "\n")
    return path


def official(root, sources=2, levels=(*LEVELS, 100), name="ImageJND_SRC{s:02d}/ImageJND_SRC{s:02d}_{q:03d}.jpg"):
    for source in range(1, sources + 1):
        for level in levels:
            path = root / name.format(s=source, q=level)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(source).save(path, quality=level)
    pairs_csv(root / "labels.csv", sources)
    return root


def test_names_of_pictures():
    for name in ("ImageJND_SRC07/ImageJND_SRC07_033.jpg", "SRC07/QF033.png", "src7_33.png", "QF_33/ImageJND_SRC07.jpg"):
        assert name_of(name) == ("SRC07", 33)
    assert name_of("sources/ImageJND_SRC07.bmp") == ("SRC07", None)


def test_pair_labels(tmp_path):
    shares, folds = read_labels(pairs_csv(tmp_path / "labels.csv"))
    assert shares["SRC02", 50] == 0.5 and len(shares) == 6 and folds == {}


def test_satisfied_user_ratio_labels(tmp_path):
    path = tmp_path / "sur.csv"
    path.write_text("ref_img,qf,first_SUR,second_SUR,third_SUR,set\nSRC01,5,0.25,0.5,0.75,10\nSRC02,5,0.5,0.6,0.7,3\n")
    shares, folds = read_labels(path)
    assert shares == {("SRC01", 5): 0.75, ("SRC02", 5): 0.5} and folds == {"SRC01": 10, "SRC02": 3}


def test_labels_in_neither_form(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,score\nbird,3\n")
    with pytest.raises(ValueError, match="neither form of MCL-JCI's labels"):
        read_labels(path)
    with pytest.raises(FileNotFoundError, match="jnd_pairs_npy.csv of github.com"):
        read_labels(tmp_path / "none.csv")


@pytest.mark.parametrize("name", ["ImageJND_SRC{s:02d}/ImageJND_SRC{s:02d}_{q:03d}.jpg", "SRC{s:02d}/QF{q:03d}.jpg"])
def test_official_layout(tmp_path, name):
    data = MCLJCI(official(tmp_path, name=name), viewing=Viewing(height=24))
    assert len(data) == 6 and data.sources == ("SRC01", "SRC02") and data.measured and data.size() == SIZE
    assert data.judgements[1] == Judgement("SRC01", 50, 15.0)
    assert data.pixels_per_degree() == 45  # half of 90, as half of 48 rows are left
    test, reference = data.pair(0)
    assert test.shape == reference.shape == (1, 3, 24, 32)
    published = np.asarray(Image.open(tmp_path / name.format(s=1, q=10)))
    assert np.array_equal(data.codes("SRC01", 10), published)
    with Image.open(tmp_path / name.format(s=1, q=100)) as best:  # the labels compare with quality 100
        assert np.array_equal(data.codes("SRC01", None), np.asarray(best))


def test_reencoded_sources(tmp_path):
    for source in (1, 2):
        picture(source).save(tmp_path / f"ImageJND_SRC{source:02d}.bmp")
    data = MCLJCI(tmp_path, pairs_csv(tmp_path / "labels.csv"), reencode=True)
    assert np.array_equal(data.codes("SRC02", 10), np.asarray(encoded(picture(2), 10)))
    assert "re-encoded with Pillow" in data.about


def test_folds_never_cut_a_source(tmp_path):
    data = MCLJCI(official(tmp_path, sources=4))
    for fold in set(data.folds.values()):
        learnt, held_out = (({data.judgements[i].source for i in part}) for part in data.split(fold))
        assert not learnt & held_out and learnt | held_out == set(data.sources)
    published = tmp_path / "folds.csv"
    published.write_text(
        "ref_img,qf,first_SUR,second_SUR,third_SUR,set\n" + "".join(f"SRC0{s},5,0,0,0,7\n" for s in (1, 2, 3, 4))
    )
    assert set(MCLJCI(tmp_path, tmp_path / "labels.csv", folds=published).folds.values()) == {7}
    assert len(set(deal_folds([str(number) for number in range(50)]).values())) == 10


def test_missing_pictures_are_named(tmp_path):
    official(tmp_path)
    (tmp_path / "ImageJND_SRC02" / "ImageJND_SRC02_050.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="no pictures for 1 of 8, first SRC02 at 50; .*mcl.usc.edu"):
        MCLJCI(tmp_path)
    with pytest.raises(FileNotFoundError, match="a source re-encoded needs its own picture"):
        MCLJCI(tmp_path, reencode=True)
    assert len(MCLJCI(tmp_path, sources=["SRC01"])) == 3


def test_missing_labels_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no labels"):
        MCLJCI(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        MCLJCI(tmp_path / "none", pairs_csv(tmp_path / "labels.csv"))


def test_size_must_not_change(tmp_path):
    official(tmp_path)
    picture().resize((32, 32)).save(tmp_path / "ImageJND_SRC01" / "ImageJND_SRC01_050.jpg")
    with pytest.raises(ValueError, match="must have one size.*32x32"):
        MCLJCI(tmp_path)


def test_a_codec_that_pillow_lacks():
    with pytest.raises(ValueError, match="cannot write 'jpegxxl'"):
        encoded(picture(), 50, "jpegxxl")


def test_reduction_averages():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(reduce_image(image, 0.5), torch.nn.functional.avg_pool2d(image, 2))
    assert reduce_image(image, 1.0) is image


def test_more_seen_than_subjects():
    with pytest.raises(ValueError, match="seen must lie in 0..subjects"):
        Judgement("SRC01", 50, 31)


def test_one_observer_is_the_metric():
    contrast = np.array([0.0, 0.5, 1.0, 3.0])
    share = Observers(1.0, 0.0, slope=1.0, count=1).share(contrast)
    np.testing.assert_allclose(share, 1 - 0.5**contrast, rtol=1e-12)


def test_judgements_follow_the_expected_share():
    # 200 sources of 30 observers at one contrast: the mean's standard error is below 0.5 / sqrt(6000) = 0.0065.
    observers = Observers(100.0, 0.4)
    contrast = {str(source): {10: 150.0, 20: 60.0} for source in range(200)}
    rows = observers.judge(contrast, [10, 20], seed=3)
    for level, value in ((10, 150.0), (20, 60.0)):
        mean = np.mean([row.share for row in rows if row.level == level])
        assert abs(mean - observers.share(value)) < 4 * 0.0065
    assert rows == observers.judge(contrast, [10, 20], seed=3) != observers.judge(contrast, [10, 20], seed=4)
    shares = {(row.source, row.level): row.seen for row in rows}
    assert all(shares[source, 10] >= shares[source, 20] for source in contrast)  # falls with quality


def test_fitted_observers_meet_the_marginals():
    levels = list(range(1, 101))
    contrast = {str(s): {q: 10 ** (3.6 + 0.1 * s - 0.02 * q) for q in levels} for s in range(-3, 4)}
    observers = fit_observers(contrast, levels)
    halves = [level_at(levels, [observers.share(of[q]) for q in levels], 0.5) for of in contrast.values()]
    assert abs(np.mean(halves) - 26.32) < 0.1  # levels are whole numbers, the curve between them is not straight
    firsts = [max(row.level for row in observers.judge(contrast, levels, seed) if row.seen) for seed in range(3)]
    assert observers.spread > 0 and np.mean(firsts) > np.mean(halves)
    any_sees = observers.contrast_at(1 - 0.5 ** (1 / 30))
    first = [level_at(levels, [of[q] for q in levels], any_sees) for of in contrast.values()]
    assert abs(np.mean(first) - 53.06) < 0.1


def test_levels_that_cannot_be_fitted():
    with pytest.raises(ValueError, match="cannot be seen by half of the observers"):
        fit_observers({"a": {80: 100.0, 90: 10.0}}, [80, 90])


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(3):
        picture(seed).save(folder / f"photo{seed}.png")
    picture().resize((20, 20)).save(folder / "small.png")
    (folder / "broken.png").write_bytes(b"no image")
    cache = tmp_path_factory.mktemp("cache")
    data = SyntheticObservers(folder, levels=(5, 40, 95), size=SIZE, observers=Observers(300.0, 0.4), cache=cache)
    return data, folder, cache


def test_synthetic_set(synthetic):
    data, _, _ = synthetic
    assert not data.measured and data.about.startswith("synthetic observers, not people")
    assert data.sources == ("photo0", "photo1", "photo2") and len(data) == 9
    assert set(data.skipped) == {"small", "broken"} and "smaller than 64x48" in data.skipped["small"]
    shares = np.array([row.share for row in data.judgements]).reshape(3, 3)
    assert (np.diff(shares, axis=1) <= 0).all() and data.expected().shape == (9,)


def test_photographs_of_one_name_are_two(tmp_path):
    for place, name in enumerate(("a/001.png", "b/001.png", "c.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(place).save(tmp_path / name)
    kept, skipped = load_photographs(tmp_path, SIZE)
    assert set(kept) == {(tmp_path / "a/001.png").as_posix(), (tmp_path / "b/001.png").as_posix(), "c"} and not skipped


def test_functions_without_a_name_of_their_own_share_no_contrasts(tmp_path):
    cuts = {"cut": np.asarray(picture())}
    options = {"levels": (5, 40), "size": SIZE, "observers": Observers(300.0, 0.4), "cache": tmp_path}
    functions = (lambda image, level, k=k: image.point(lambda v: min(255, v + k * level)) for k in (0, 2))
    weak, strong = (SyntheticObservers(cuts, distort=function, **options) for function in functions)
    assert weak.contrast["cut"][40] == 0 < strong.contrast["cut"][40]


def test_synthetic_contrast_is_the_exact_metrics(synthetic):
    data, _, _ = synthetic
    exact = HDRVDP2(display="mcl-jci", pixels_per_degree=90)(*data.pair(0))
    assert float(exact.C_max) == data.contrast["photo0"][5]


def test_synthetic_contrasts_are_kept(synthetic, monkeypatch):
    data, folder, cache = synthetic
    monkeypatch.setattr("vdp_distill.synthetic_pictures._measure", lambda *_: pytest.fail("computed again"))
    again = SyntheticObservers(folder, levels=(5, 40, 95), size=SIZE, observers=Observers(300.0, 0.4), cache=cache)
    assert again.judgements == data.judgements


def test_any_distortion():
    def darker(image, level):
        return image.point(lambda code: round(code * level / 100))

    arrays = {"a": np.asarray(picture())}
    data = SyntheticObservers(arrays, levels=(50, 100), size=SIZE, distort=darker, observers=Observers(1.0, 0.1))
    assert data.judgements[0].seen > 0 == data.judgements[1].seen  # the second copy is the photograph itself


def test_no_photograph_is_large_enough(tmp_path):
    picture().save(tmp_path / "one.png")
    with pytest.raises(ValueError, match=r"no photograph of at least 1920x1080 pixels \(one: 64x48, smaller"):
        SyntheticObservers(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder of photographs"):
        SyntheticObservers(tmp_path / "none")
