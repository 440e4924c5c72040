"""A figure's SVG as a part of the page: in the page's colours and fonts, and a third as long."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from markupsafe import Markup

from metagap.report import theme

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
DECIMALS = 2
"""Of coordinates, whose unit is about a pixel."""
LENGTHS = {"d", "x", "y", "width", "height", "points", "x1", "x2", "y1", "y2", "cx", "cy", "r", "transform"}
UNSEEN = ("metadata", "style")
"""Elements that the page has no use for; it has what matplotlib's style sheet says in its own."""
TEXT = {"text", "tspan", "title", "desc"}
"""Elements in which spaces count."""


class Figures:
    """Makes the SVGs of one page, and the style sheet that they share: there every style stands once."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}

    def inlined(self, svg: str, name: str, label: str) -> Markup:
        """An SVG for the page: themed, sized by its container, with ids of its own and a label for screen readers.

        name: what its ids begin with. It looks as it did, and takes less room: coordinates are rounded, and what a
        browser does not need is left out.
        """
        root = ElementTree.fromstring(svg)
        used = dict.fromkeys(re.findall(r'(?:url\(|href=")#([^")]+)', svg))
        ids = {known: f"{name}-{place}" for place, known in enumerate(used)}
        for element in root.iter():
            element.attrib = {key: value for key, value in self._attributes(element, ids) if value}
        _trim(root)
        root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
        for element in root.iter():
            element.tag = element.tag.removeprefix(SVG)
        return Markup(ElementTree.tostring(root, encoding="unicode").replace(" />", "/>"))

    @property
    def styles(self) -> Markup:
        """The rules of the style sheet."""
        return Markup("\n".join(f".{name} {{{style}}}" for style, name in self._classes.items()))

    def _attributes(self, element: ElementTree.Element, ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """ids: what those that are referred to are called on the page."""
        for key, value in element.attrib.items():
            if key == "id":
                yield key, ids.get(value, "")
            elif key == "style":
                style = _styled(value)
                yield "class", self._classes.setdefault(style, f"s{len(self._classes)}") if style else ""
            elif key == LINK:
                yield "href", f"#{ids[value[1:]]}" if value.startswith("#") else value
            elif key in LENGTHS:
                yield key, "" if value.startswith("rotate(-0 ") else _rounded(key, value)
            else:
                yield key, theme.themed(re.sub(r"url\(#([^)]+)\)", lambda match: f"url(#{ids[match[1]]})", value))


def _trim(element: ElementTree.Element) -> None:
    """Leave out white space, what is not seen, and groups without attributes, whose content takes their place."""
    kept: list[ElementTree.Element] = []
    for child in element:
        kind = child.tag.removeprefix(SVG)
        if kind in UNSEEN:
            continue
        _trim(child)
        if kind in ("g", "defs") and not len(child):
            continue
        kept += [child] if kind != "g" or child.attrib else list(child)
    if element.tag.removeprefix(SVG) not in TEXT:
        element.text = None
        for child in kept:
            child.tail = None
    element[:] = kept


def _styled(value: str) -> str:
    """A style in the page's colours, without fonts, for which the page has its own."""
    parts = (part.strip() for part in value.split(";"))
    return theme.themed("; ".join(part for part in parts if part and not part.startswith("font-family")))


def _rounded(key: str, value: str) -> str:
    if key == "transform" and re.search("scale|matrix|skew", value):
        return value
    value = re.sub(r"-?\d+\.\d+(?:e-?\d+)?", lambda match: f"{round(float(match[0]), DECIMALS) + 0.0:g}", value)
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", " ".join(value.split())).replace(" -", "-") if key == "d" else value
