"""photos.csv and pairs.txt: every mistake at once, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import add_photo, garment_objects, make_folder, person_objects

from tryon.dataset import folder, list_checks, lists
from tryon.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_folder(tmp_path, {"anna": None, "bo": None}, ["shirt", "coat"])


def given(root: Path, text: str) -> tuple[list[lists.GivenPair], list[str]]:
    (root / "pairs.txt").write_text(text, encoding="utf-8")
    return lists.read_pairs_txt(root, folder.scan(root))


def test_pairs_keep_their_lines(root: Path) -> None:
    pairs, mistakes = given(root, "# list\nanna.jpg shirt.jpg\n\nbo coat\n")
    assert mistakes == []
    assert pairs == [lists.GivenPair("anna", "shirt", 2), lists.GivenPair("bo", "coat", 4)]


def test_mistakes_are_all_listed_with_lines_and_the_nearest_name(root: Path) -> None:
    pairs, mistakes = given(root, "ana.jpg shirt.jpg\nbo.jpg\nbo.jpg coat.jpg\nbo.jpg coat.jpg\nbo.jpg nothing.jpg\n")
    assert [pair.line for pair in pairs] == [3]
    assert len(mistakes) == 4
    assert mistakes[0].startswith("line 1: person/ana does not exist (did you mean 'anna'?)")
    assert mistakes[1].startswith("line 2: expected 'person.jpg garment.jpg'")
    assert mistakes[2].startswith("line 4: the pair 'bo.jpg coat.jpg' stands in line 3 already")
    assert mistakes[3].startswith("line 5: garment/nothing does not exist")


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_names_with_blanks_and_chinese_names(root: Path, separator: str) -> None:
    add_photo(root, "person/李 娜", person_objects())
    add_photo(root, "garment/red silk dress", garment_objects("dress"))
    pairs, mistakes = given(root, f"李 娜.jpg{separator}red silk dress.jpg\n")
    assert mistakes == []
    assert (pairs[0].person, pairs[0].garment) == ("李 娜", "red silk dress")


def test_a_missing_list_says_who_needs_it(root: Path) -> None:
    with pytest.raises(UserError, match="strategy `given` reads it"):
        lists.read_pairs_txt(root, folder.scan(root))


def test_a_photo_that_is_only_unusable_is_no_mistake_of_the_list(root: Path) -> None:
    add_photo(root, "person/anna", None, suffix=".png")
    pairs, mistakes = given(root, "anna.jpg shirt.jpg\n")
    assert (len(pairs), mistakes) == (1, [])


def test_facts_of_photos(root: Path) -> None:
    (root / "photos.csv").write_text(
        "photo,identity,garment,split\nperson/anna.jpg,Anna S,shirt.jpg,test\nperson/bo,,,\n"
    )
    facts = lists.read_photos_csv(root)
    assert facts is not None
    assert facts["person/anna"] == lists.PhotoFacts("Anna S", "shirt", "test", 2)
    assert facts["person/bo"] == lists.PhotoFacts("bo", None, None, 3)


def test_mistakes_in_photos_csv_are_all_listed(root: Path) -> None:
    (root / "photos.csv").write_text(
        "photo,identity,garment,split\nanna.jpg,a,,\nperson/bo.jpg,b,,tset\nperson/x,,,\nperson/x,,,\n"
    )
    with pytest.raises(UserError) as refused:
        lists.read_photos_csv(root)
    told = str(refused.value).splitlines()
    assert told[0].endswith("photos.csv: 3 lines cannot be used")
    assert "line 2: photo is 'anna.jpg'" in told[1]
    assert "line 3: split is 'tset'" in told[2]
    assert "line 5: person/x stands in line 4 already" in told[3]


def test_wrong_columns_are_named(root: Path) -> None:
    (root / "photos.csv").write_text("file,who\nperson/bo.jpg,b\n")
    with pytest.raises(UserError, match="its columns are file, who"):
        lists.read_photos_csv(root)
    (root / "photos.csv").unlink()
    assert lists.read_photos_csv(root) is None


def test_the_real_viton_lists_are_read(fixtures: Path, tmp_path: Path) -> None:
    """2 032 real lines; the folder is stood in for by a listing of the same names."""
    source = fixtures / "viton-pair-lists" / "test_pairs.txt"
    lines = [line.split() for line in source.read_text().splitlines()]
    photos = {f"person/{Path(person).stem}" for person, _ in lines} | {
        f"garment/{Path(cloth).stem}" for _, cloth in lines
    }
    listing = folder.Listing(
        tuple(folder.PhotoFiles(id_, id_.partition("/")[0], f"{id_}.jpg", None, None) for id_ in sorted(photos)), ()
    )
    (tmp_path / "pairs.txt").write_bytes(source.read_bytes())
    pairs, mistakes = lists.read_pairs_txt(tmp_path, listing)
    assert mistakes == []
    assert [(pair.person, pair.garment) for pair in pairs] == [(Path(a).stem, Path(b).stem) for a, b in lines]


def test_a_bare_list_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "test_pairs.txt"
    path.write_text("# a list\na_0.jpg b_1.jpg\nb_0.jpg\tb_1.jpg\na_0.jpg b_1.jpg 0\nc.png c.png\n", encoding="utf-8")
    given = list_checks.read_bare_list(path)
    assert [(pair.person, pair.garment, pair.line) for pair in given][0] == ("a_0", "b_1", 2)
    found = list_checks.check_pairs(given, unpaired=True)
    assert [(mistake.line, mistake.kind) for mistake in found] == [(3, "paired"), (4, "doubled"), (5, "paired")]
    assert [mistake.kind for mistake in list_checks.check_pairs(given, unpaired=False)] == ["doubled"]
    known = list_checks.check_pairs(given, unpaired=False, persons={"a_0", "b_0"}, garments={"b_1"})
    assert known[-1].reason == "person/c and garment/c does not exist"
    path.write_text("only\n")
    with pytest.raises(UserError, match="line 1 is 'only'"):
        list_checks.read_bare_list(path)


def test_the_real_unpaired_list_of_viton_holds_four_paired_rows(fixtures: Path) -> None:
    folder = fixtures / "viton-pair-lists"
    unpaired = list_checks.read_bare_list(folder / "test_pairs.txt")
    found = list_checks.check_pairs(unpaired, unpaired=True)
    assert {mistake.kind for mistake in found} == {"paired"}
    names = {pair.line: pair.person for pair in unpaired}
    assert [names[mistake.line] for mistake in found] == ["001567_0", "002787_0", "005413_0", "009300_0"]
    same = list_checks.read_bare_list(folder / "test_pairs_same.txt")
    assert len(list_checks.check_pairs(same, unpaired=True)) == len(same) == len(unpaired), "all of these are paired"
    assert list_checks.check_pairs(list_checks.read_bare_list(folder / "train_pairs.txt"), unpaired=False) == []
