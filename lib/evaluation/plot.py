"""The style of plots, and how a plot becomes SVG for the page and a PNG file.

The page has a light and a dark theme. A plot therefore has no background, its lines have colours that are visible on
both, and the SVG version replaces the placeholder colours of text and grid by those of the page.
"""

import io
import itertools
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from ..system.atomic_write import replace_file
from ..system.terminal import printable

# One colour per run. They are distinguishable with colour vision deficiencies, on white and on near black.
COLOURS = ("#2f86d6", "#e07b2a", "#2a9d6f", "#c0569f", "#8a7bd8", "#a08520")
# Placeholders. They are right as they are for a PNG on white.
INK, GRID = "#16181c", "#d5d9df"
_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("axes.labelcolor", "axes.titlecolor", "text.color", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.edgecolor", "grid.color"), GRID),
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
# Fonts with Chinese, Japanese and Korean characters, of which a system has one or none. Browsers find their own.
_CJK_FONTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Zen Hei", "Droid Sans Fallback")
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


class Tip(NamedTuple):
    """What a plot shows under the pointer around one place of its x axis."""

    x: float
    text: str


class Plot:
    """A plot as SVG, for the page, and as PNG."""

    def __init__(
        self,
        name: str,
        title: str,
        draw: Callable[[Figure], None],
        size: tuple[float, float],
        tips: Sequence[Tip] = (),
    ) -> None:
        """``draw``, ``title`` and ``tips`` get names only as ``drawable`` returns them."""
        self.name, self.title = name, title
        fonts = ["DejaVu Sans", *(font for font in _CJK_FONTS if font in fontManager.get_font_names())]
        with mpl.rc_context({**_STYLE, "svg.hashsalt": name, "font.family": fonts}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure = Figure(figsize=size)
            draw(figure)
            svg, png = io.StringIO(), io.BytesIO()
            figure.savefig(png, format="png", dpi=160, facecolor="white")
            figure.savefig(svg, format="svg", transparent=True, metadata=_NO_METADATA)
        self.svg = _inline(svg.getvalue(), name, title, _strips(figure, tips))
        self._png = png.getvalue()

    def write(self, folder: Path) -> None:
        """Write ``folder/NAME.png``."""
        replace_file(folder / f"{self.name}.png", self._png)


def drawable(name: str) -> str:
    """Return a name without characters that cannot be drawn, nor encoded.

    >>> drawable("a\\x1b[31m\\udcff")
    'a\\\\x1b[31m\\\\udcff'
    """
    return printable(name).replace("\n", " ").encode(errors="backslashreplace").decode()


def _strips(figure: Figure, tips: Sequence[Tip]) -> str:
    """Return transparent strips of the first axes, from one tip half way to the next: browsers show their titles."""
    if not tips:
        return ""
    axes, points_per_pixel = figure.axes[0], 72 / figure.dpi
    box = axes.get_window_extent()
    left, right = box.x0 * points_per_pixel, box.x1 * points_per_pixel
    top = figure.get_figheight() * 72 - box.y1 * points_per_pixel
    places = [float(axes.transData.transform((tip.x, 1.0))[0]) * points_per_pixel for tip in tips]
    edges = [left, *((a + b) / 2 for a, b in itertools.pairwise(places)), right]
    strips = [
        f'<rect x="{start:.1f}" y="{top:.1f}" width="{end - start:.1f}" height="{box.height * points_per_pixel:.1f}">'
        f"<title>{escape(tip.text)}</title></rect>"
        for tip, (start, end) in zip(tips, itertools.pairwise(edges), strict=True)
    ]
    return f'<g class="tips">{"".join(strips)}</g>'


def _inline(svg: str, name: str, title: str, strips: str) -> Markup:
    """Return the <svg> element, as wide as its container, with text and grid in the page's colours."""
    body = svg[svg.index("<svg") :]
    body = re.sub(' (width|height)="[^"]*"', "", body, count=2)
    body = body.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
    # Several plots share the page, so their ids need a prefix.
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = body.replace(INK, "currentColor").replace(GRID, "var(--line)")
    return Markup(body.replace("</svg>", f"{strips}</svg>"))
