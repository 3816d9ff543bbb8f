"""Who is photographed in what: identities and garments of each split, the pairs, and the true try-on pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tryon.config import StudioConfig
from tryon.errors import UserError
from tryon.studio.randomness import Dice
from tryon.studio.sampling import in_other_garment, sample_garment, sample_person, sample_scene
from tryon.studio.specs import Category, Garment, Scene

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Photo:
    """A planned photograph of a person; it wears the garment of the same number."""

    name: str  # file stem of the photo
    identity: str
    garment: str  # file stem of the garment's shop photo
    index: int
    category: Category
    split: Split


@dataclass(frozen=True)
class Truth:
    """A planned true picture: a person in another garment of the same category and split."""

    person: Photo
    other: Photo  # the photo whose garment is put on

    @property
    def name(self) -> str:
        """File stem."""
        return f"{self.person.name}__{self.other.garment}"


@dataclass(frozen=True)
class Plan:
    """Everything that the studio renders."""

    seed: int
    photos: tuple[Photo, ...]
    truths: tuple[Truth, ...]

    def garment(self, photo: Photo) -> Garment:
        """The garment worn in a photo."""
        return sample_garment(self.seed, photo.index, photo.category)

    def scene(self, photo: Photo) -> Scene:
        """The photograph itself."""
        person = sample_person(self.seed, photo.identity)
        return sample_scene(self.seed, photo.index, person=person, garment=self.garment(photo))

    def true_scene(self, truth: Truth) -> Scene:
        """The same photograph with the other garment."""
        return in_other_garment(self.scene(truth.person), self.garment(truth.other))


def make_plan(cfg: StudioConfig) -> Plan:
    """Decide identities, garments, splits and unpaired pairs.

    Raises:
        UserError: the numbers leave no training identity, or too few held-out people for unpaired pairs.
    """
    num_train = cfg.num_people - cfg.num_val - cfg.num_test
    if num_train < 1:
        raise UserError(
            f"studio.num_people is {cfg.num_people}, but num_val + num_test take {cfg.num_val + cfg.num_test} of them; "
            f"set num_people to {cfg.num_val + cfg.num_test + 1} or more"
        )
    photos: list[Photo] = []
    for split, num_people in zip(SPLITS, (num_train, cfg.num_val, cfg.num_test), strict=True):
        photos += _photos(cfg, split, num_people, first=len(photos))
    truths = [truth for photo in photos if photo.split != "train" for truth in _truths(cfg, photo, photos)]
    return Plan(cfg.seed, tuple(photos), tuple(truths))


def _photos(cfg: StudioConfig, split: Split, num_people: int, first: int) -> list[Photo]:
    categories = _categories(cfg, split, num_people)
    photos = []
    for k in range(num_people * cfg.photos_per_person):
        person, index = k // cfg.photos_per_person, first + k
        identity = f"p{first // cfg.photos_per_person + person:05d}"
        name = identity if cfg.photos_per_person == 1 else f"{identity}_{k % cfg.photos_per_person}"
        photos.append(Photo(name, identity, f"g{index:05d}", index, categories[person], split))
    return photos


def _categories(cfg: StudioConfig, split: Split, num_people: int) -> list[Category]:
    """One category per identity, in the shares of the settings.

    A held-out category needs another garment to try on for each of its people; where the share gives it too few
    photos for that, its people are photographed for upper garments.
    """
    needed = 1 if split == "train" else cfg.unpaired_per_person + 1
    num: dict[Category, int] = {"dress": 0, "down": 0}
    for category in num:
        share = round(num_people * (1.0 - cfg.top_share) / 2.0)
        num[category] = share if share * cfg.photos_per_person >= needed else 0
    num_up = num_people - num["dress"] - num["down"]
    if 0 < num_up * cfg.photos_per_person < needed:
        raise UserError(
            f"studio: split {split} has {num_up} people for upper garments, but unpaired_per_person = "
            f"{cfg.unpaired_per_person} needs {needed}; raise num_{split} or lower unpaired_per_person"
        )
    num["up"] = num_up
    categories = [category for category in num for _ in range(num[category])]
    return Dice(cfg.seed, "categories", split).shuffled(categories)


def _truths(cfg: StudioConfig, person: Photo, photos: list[Photo]) -> list[Truth]:
    rivals = [
        p for p in photos if p.split == person.split and p.category == person.category and p.index != person.index
    ]
    chosen = Dice(cfg.seed, "unpaired", person.index).shuffled(rivals)[: cfg.unpaired_per_person]
    return [Truth(person, other) for other in sorted(chosen, key=lambda other: other.index)]
