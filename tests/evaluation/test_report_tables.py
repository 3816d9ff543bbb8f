"""Tables that others compute stand in the page as they are; alike refusals are counted together."""

from __future__ import annotations

import pytest

from tryon.evaluation.report_pictures import chosen, spread
from tryon.evaluation.report_protocols import protocol_parts
from tryon.evaluation.report_refused import kind_of, reasons
from tryon.evaluation.report_tables import free_tables

TABLE = {
    "name": "guidance",
    "title": {"en": "Guidance", "zh": "引导强度"},
    "command": "snakemake ablation",
    "columns": [{"title": "w"}, {"title": "PSNR, dB", "better": "higher"}, {"title": "LPIPS", "better": "lower"}],
    "rows": [["1", {"mean": 20.0, "low": 19.0, "high": 21.0}, 0.25], ["2", {"mean": 22.5, "low": None}, None]],
}


def test_a_table_keeps_its_numbers_intervals_and_marks_the_best() -> None:
    (table,) = free_tables({"tables": [TABLE]})
    assert table.title.plain("zh") == "引导强度"
    assert [arrow for _, arrow, _ in table.columns] == ["", "↑", "↓"]
    first, second = (
        [cell and (cell.text.plain("en"), cell.interval, cell.is_best) for cell in row] for row in table.rows
    )
    assert first == [("1", "", False), ("20", "19 – 21", False), ("0.25", "", False)]
    assert second == [("2", "", False), ("22.5", "", True), None]


def test_a_row_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under 3 columns"):
        free_tables({"tables": [{**TABLE, "rows": [["1"]]}]})


def test_no_tables_is_none() -> None:
    assert free_tables({}) == []


def test_refusals_that_differ_in_names_and_numbers_are_of_one_kind() -> None:
    rows = [
        {
            "id": f"person/p{index}",
            "stage": "dataset",
            "reason": f"p{index}.jpg: {10 * index + 1} px wide; take another",
        }
        for index in range(9)
    ]
    rows.append({"id": "anna__coat", "stage": "pairs", "reason": "garment/coat has no photo"})
    first, second = reasons(rows)
    assert (first.stage, first.kind, first.num, first.share) == ("dataset", "# px wide; take another", 9, 0.9)
    assert first.examples == [f"person/p{index}" for index in range(6)]
    assert (second.kind, second.examples) == ("… has no photo", ["anna__coat"])


def test_a_kind_keeps_what_is_to_be_done() -> None:
    reason = "a.json: no person is annotated (found 3 labels); annotate and/or take it away"
    assert kind_of(reason).endswith("take it away")
    assert kind_of(reason).startswith("no person is annotated (found # labels)")


def test_of_a_long_list_half_are_the_worst_a_quarter_the_best_and_the_rest_lie_between() -> None:
    assert chosen(5, 8) == [0, 1, 2, 3, 4]
    places = chosen(100, 16)
    assert places[:8] == list(range(8))
    assert places[-4:] == [96, 97, 98, 99]
    assert len(places) == len(set(places)) == 16
    assert places == sorted(places)
    assert [20 < place < 90 for place in places[9:11]] == [True, True]
    assert spread(10, 4) == [1, 3, 6, 8]


def test_every_protocol_shows_its_numbers_their_spread_its_settings_and_what_is_missing() -> None:
    about = {"list": "test_unpaired", "system": "cascade", "stage": "sr64", "better": "lower"}
    empty = {"low": None, "high": None, "spread": None, "reason": None}
    scores = [
        {**about, **empty, "metric": "kid", "value": 0.5, "spread": 0.1},
        {**about, **empty, "metric": "kid", "system": "paste", "stage": "", "value": 0.25},
        {**about, **empty, "metric": "fid", "value": None, "reason": "not computed: weights not given"},
    ]
    made = {
        "name": "ladi",
        "title": "LaDI-VTON",
        "source": "its code",
        "scores": scores,
        "settings": {"size": [512, 384]},
    }
    (part,) = protocol_parts({"protocols": [made]})
    (table,) = part.tables
    assert [[cell and (cell.text.plain("en"), cell.interval, cell.is_best) for cell in row] for row in table.rows] == [
        [("cascade · sr64", "", False), ("0.5", "0.4 – 0.6", False)],
        [("paste", "", False), ("0.25", "", True)],
    ]
    assert [reason.plain("zh") for reason in part.reasons] == ["未计算：没有给出权重"]
    assert [(name.plain("en"), value.plain("en")) for name, value in part.settings] == [
        ("settings", '{"size": [512, 384]}')
    ]
    assert protocol_parts({}) == []
