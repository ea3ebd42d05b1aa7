"""A folder belongs to one run, and a run goes on from where it was saved."""

from pathlib import Path

import pytest

from vdp_distill.jnd import recipe as jnd_recipe
from vdp_distill.losses.mdf_recipe import MDFRecipe
from vdp_distill.losses.nima_recipe import NIMARecipe
from vdp_distill.losses.trunk_recipe import TrunkRecipe
from vdp_distill.training.recipe import read_recipe
from vdp_distill.training.resumable import STATE, claim, conduct

READERS = {
    "vdp-cortex": read_recipe,
    "jnd": jnd_recipe.read_recipe,
    "mdf-jpeg": MDFRecipe.read,
    "nima-paper": NIMARecipe.read,
    "trunk": TrunkRecipe.read,
}
"""What reads each kind of recipe that ships."""


@pytest.mark.parametrize("name", READERS)
def test_a_folder_belongs_to_one_run(tmp_path, name):
    read, out = READERS[name], tmp_path / "run"
    recipe, path = read(name), out / "recipe.toml"
    claim(out, recipe, read, resume=False)
    claim(out, recipe, read, resume=True)
    assert read(path) == recipe
    with pytest.raises(ValueError, match="already holds a training run; go on with it by --resume"):
        claim(out, recipe, read, resume=False)
    seed = f"seed = {recipe.training.seed}"
    assert path.read_text().count(seed) >= 1
    path.write_text(path.read_text().replace(seed, "seed = 123"))
    with pytest.raises(ValueError, match="holds a run of another recipe; resume with .*recipe.toml"):
        claim(out, recipe, read, resume=True)
    assert "seed = 123" in path.read_text()


def test_a_remark_in_the_recipe_makes_it_no_other(tmp_path):
    claim(tmp_path, TrunkRecipe(), TrunkRecipe.read, resume=False)
    path = tmp_path / "recipe.toml"
    remarked = "# the second attempt\n" + path.read_text()
    path.write_text(remarked)
    claim(tmp_path, TrunkRecipe(), TrunkRecipe.read, resume=True)
    assert path.read_text() == remarked


class Counter:
    """A run that counts, and saves the count at every step."""

    steps = 5

    def __init__(self, out: Path):
        self.out, self.done, self.seen = out, 0, []

    def steps_done(self) -> int:
        return self.done

    def restore(self) -> None:
        self.done = int((self.out / STATE).read_text())

    def run(self, bar) -> None:
        while self.done < self.steps:
            self.done += 1
            self.seen.append(self.done)
            (self.out / STATE).write_text(str(self.done))
            bar.advance(0.0)


@pytest.mark.parametrize(
    ("saved", "resume", "seen"),
    [(None, False, [1, 2, 3, 4, 5]), (None, True, [1, 2, 3, 4, 5]), (3, True, [4, 5]), (5, True, [])],
)
def test_a_run_goes_on_from_what_its_folder_holds(tmp_path, saved, resume, seen):
    if saved is not None:
        (tmp_path / STATE).write_text(str(saved))
    run = Counter(tmp_path)
    assert conduct(run, resume, progress=False) == tmp_path
    assert run.seen == seen
