"""Every sentence stands there in both languages, is used, and is filled without letting HTML in."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from markupsafe import Markup

from tryon.evaluation import page
from tryon.evaluation.baselines import BASELINES
from tryon.evaluation.metrics import METRICS
from tryon.evaluation.report_text import join, known, same, say, translated
from tryon.evaluation.report_words import CHINESE, WORDS

SOURCES = [*page.TEMPLATES.glob("*.html"), *Path(page.__file__).parent.glob("*.py")]
HAN = re.compile(r"[\u4e00-\u9fff]")
NEEDS_NO_WORDS = re.compile(r"[\W\d]*|ΔE₀₀|[A-Z]{3,5}(-I|, dB)?")  # symbols, and names of metrics


def places(sentence: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("key", sorted(WORDS))
def test_a_sentence_has_both_languages_the_same_places_and_the_same_marks(key: str) -> None:
    en, zh = WORDS[key]
    assert en
    assert not HAN.search(en)
    assert HAN.search(zh) or not re.search("[a-z]{3}", re.sub(r"<.*?>|{.*?}", "", en))
    assert places(en) == places(zh)
    assert sorted(re.findall(r"</?\w+", en)) == sorted(re.findall(r"</?\w+", zh))


def test_every_sentence_is_used_and_every_used_one_is_there() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES if not path.name.endswith("_words.py"))
    literal = set(re.findall(r'say\(\s*"([\w. ]+)"', source))
    assert literal <= {*WORDS, *(key for key in literal if key.endswith((".", "_")))}
    chosen = {key for key in WORDS if f'"{key}"' in source}
    computed = ("category.", "role.", "list.", "short.", "region.", "measure.", "protocol.", "picture.", "panel.",
                "hero.", "leaks.", "quality.", "verdict.", "scores.", "system.", "photos.", "review.")  # fmt: skip
    assert {key for key in WORDS if key not in chosen and not key.startswith(computed)} == set()


@pytest.mark.parametrize(
    "english",
    [
        *(text for metric in METRICS for text in (metric.title, metric.meaning)),
        *(text for texts in BASELINES.values() for text in texts),
    ],
)
def test_what_other_modules_word_has_its_chinese(english: str) -> None:
    assert NEEDS_NO_WORDS.fullmatch(english) or HAN.search(CHINESE.get(english, "")), "add it to report_words.CHINESE"


def test_values_are_escaped_and_texts_are_filled_in_per_language() -> None:
    text = say("quality.opponent", {"name": translated("keep"), "by": "<b>&"})
    assert text.en == Markup("keep (&lt;b&gt;&amp;)")
    assert text.zh == Markup("保持原样（&lt;b&gt;&amp;）")
    assert text.plain("en") == "keep (<b>&)"
    assert 'class="en" lang="en"' in text.__html__()
    assert 'class="zh" lang="zh-CN"' in text.__html__()


def test_names_stand_once_and_unknown_words_as_they_are() -> None:
    assert same("a < b").__html__() == "a &lt; b"
    assert known("category.socks", "socks") == same("socks")
    assert join([same("a"), same("b"), same("c")]).plain("en") == "a, b and c"
    assert join([same("a"), same("b"), same("c")]).plain("zh") == "a、b和c"


def test_an_attribute_carries_the_other_language() -> None:
    assert page.both("alt", say("picture.truth"), "en") == Markup('alt="truth" data-other-alt="真值"')
    assert page.both("alt", say("picture.truth"), "zh") == Markup('alt="真值" data-other-alt="truth"')
    assert page.both("alt", same('"x"'), "en") == Markup('alt="&#34;x&#34;"')
