"""Text of the pages in both languages at once: the reader chooses in the page, so every sentence stands there twice.

The sentences are those of `tryon.evaluation.report_words`, and nowhere else.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from tryon.evaluation.report_words import CHINESE, WORDS

HTML_LANGUAGE = {"en": "en", "zh": "zh-CN"}


@dataclass(frozen=True)
class Text:
    """The same in English and in Chinese, as HTML that is safe to print."""

    en: Markup
    zh: Markup

    def __html__(self) -> str:
        """Both, of which the style sheet shows the page's language; names and numbers stand once."""
        if self.en == self.zh:
            return str(self.en)
        return "".join(
            f'<span class="{name}" lang="{HTML_LANGUAGE[name]}">{text}</span>'
            for name, text in (("en", self.en), ("zh", self.zh))
        )

    def plain(self, language: str) -> str:
        """Without marks, for an attribute or a title."""
        text = {"en": self.en, "zh": self.zh}[language]
        return html.unescape(text.striptags())


def say(key: str, values: Mapping[str, object] | None = None) -> Text:
    """A sentence of the catalogue.

    Args:
        key: of `WORDS`.
        values: fill the sentence's places; texts are filled in per language, everything else is escaped.

    Raises:
        KeyError: no such sentence, or a place without its value.
    """
    en, zh = WORDS[key]
    return Text(_filled(en, values or {}, "en"), _filled(zh, values or {}, "zh"))


def _filled(sentence: str, values: Mapping[str, object], language: str) -> Markup:
    sides = {name: getattr(value, language) if isinstance(value, Text) else value for name, value in values.items()}
    return Markup(sentence).format_map(sides)  # noqa: S704 (our own catalogue; format_map escapes the values)


def known(key: str, otherwise: str) -> Text:
    """A word of the catalogue, such as the name of a category; one that is not there stands as it is."""
    return say(key) if key in WORDS else same(otherwise)


def translated(english: str) -> Text:
    """A text that another module words in English; without a translation it stands in English in both."""
    return Text(escape(english), escape(CHINESE.get(english, english)))


def same(text: object) -> Text:
    """A name or number that needs no translation."""
    return Text(escape(text), escape(text))


def join(texts: Sequence[Text]) -> Text:
    """``a, b and c``; ``a、b和c``."""
    if len(texts) == 1:
        return texts[0]
    en = Markup("{} and {}").format(Markup(", ").join(text.en for text in texts[:-1]), texts[-1].en)
    zh = Markup("{}和{}").format(Markup("、").join(text.zh for text in texts[:-1]), texts[-1].zh)
    return Text(en, zh)


def glued(texts: Sequence[Text], en: str, zh: str) -> Text:
    """Texts one after the other with a separator per language."""
    return Text(escape(en).join(text.en for text in texts), escape(zh).join(text.zh for text in texts))
