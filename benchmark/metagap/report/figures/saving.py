"""A figure as SVG and as PNG."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

from metagap.report.theme import drawing


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element without XML prologue, dates or fixed size (it scales to its container)."""
    about = {"Date": None, "Creator": None, "Format": None, "Type": None}
    svg = _saved(figure, format="svg", metadata=about).decode()
    return svg[svg.index("<svg") :]


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG on white, at 160 dots per inch."""
    return _saved(figure, format="png", dpi=160, facecolor="white")


def _saved(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with drawing():
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)  # once for all formats: where there is an engine, `savefig` draws everything twice
            figure.set_layout_engine(None)  # not "none", which is an engine, too
        figure.savefig(buffer, **options)
    return buffer.getvalue()
