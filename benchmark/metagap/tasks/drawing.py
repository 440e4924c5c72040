"""Characters of invented alphabets, drawn from a seed: an Omniglot-like data set that needs no download.

Three people stand behind every image, each with random numbers of their own. An *inventor* makes up alphabets and
their characters, a *hand* writes every instance of a character a little differently, and a *photographer* chooses the
light, the angle and the dirt on the page: that is the `Style`, which holds the shift parameters. Changing one
never changes what the inventor made up, so the same seed in two styles is the same alphabets in two domains.

A stroke is a spline of three circular arcs joined at two corners: five angles. Its heading along the way is linear in
these angles, and the pen's path is the sum of unit steps along that heading, held as complex numbers so that placing a
path on the page is one multiplication. Lake et al. (2015), "Human-level concept learning through probabilistic program
induction", compose Omniglot's characters in the same spirit: alphabets share parts, characters relate the parts, and
tokens perturb the characters.
"""

import math
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from metagap.errors import UserError

STROKES = 4  # the most a character can have
DOTS = 60  # points along each stroke; a multiple of 3
BLUR = 0.016  # of the page: how softly the distances to neighbouring dots are joined
PEN = 0.054  # the pen's width, of the page
EXTENT = 0.64  # the longer side of a character, of the page

# Ways to move a pen, in degrees: (arc, corner, arc, corner, arc). Mirrored, scaled and mixed they make the strokes.
KINDS = torch.tensor(
    [
        (0, 0, 0, 0, 0),  # line
        (45, 0, 45, 0, 45),  # bow
        (0, 0, 20, 0, 190),  # hook
        (110, 0, 0, 0, -110),  # wave
        (100, 0, 100, 0, 100),  # loop
        (0, 100, 0, 0, 0),  # tick
        (0, 85, 0, 85, 0),  # bracket
        (0, 120, 0, -120, 0),  # zigzag
        (170, -150, 170, 0, 15),  # two bowls
        (40, 0, 110, 0, 190),  # spiral
    ]
).deg2rad()
EFFORT = torch.tensor([0.0, 0.3, 0.6, 1.0, 0.6, 0.6, 1.0, 1.5, 2.0, 2.0])  # of each kind, to draw and to read


@dataclass(frozen=True, kw_only=True)
class Style:
    """How the same characters are put on the page: the shift parameters, all neutral by default.

    Raises `UserError` if a parameter is outside its range.
    """

    rotation: float = 0.0  # degrees counter-clockwise, the same for every image
    slant: float = 0.0  # degrees by which uprights lean to the right, between -60 and 60
    stroke_width: float = 1.0  # factor on the pen's width, from 0.1 to 3
    noise: float = 0.0  # standard deviation of the Gaussian noise on each pixel, as a share of white
    inversion: float = 0.0  # share of the images that are dark on light, from 0 to 1
    clutter: float = 0.0  # expected number of stray strokes per image (Poisson)
    jitter: float = 1.0  # factor on how much the hand varies; at 0 all instances of a character are equal

    def __post_init__(self) -> None:
        ranges = {
            "rotation": (-360, 360),
            "slant": (-60, 60),
            "stroke_width": (0.1, 3),
            "noise": (0, 10),
            "inversion": (0, 1),
            "clutter": (0, 20),
            "jitter": (0, 10),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"glyph style: {name} = {value!r}, allowed is a number from {low} to {high}")


class Strokes(NamedTuple):
    """Planned pen movements, any leading shape (...,). Places are complex, x + iy, y down, the page's centre is 0."""

    start: Tensor  # (..., S) where the pen is put down
    goal: Tensor  # (..., S) the place the path reaches out to
    angles: Tensor  # (..., S, 5) radians: arc, corner, arc, corner, arc
    drawn: Tensor  # (..., S) 1 where there is a stroke, 0 where there is none


class Characters(NamedTuple):
    """What the inventor made up: n characters, those of one alphabet next to each other."""

    strokes: Strokes  # (n, S)
    slant: Tensor  # (n,) radians
    pen: Tensor  # (n,) factor on the pen's width


def draw_glyphs(
    alphabets: int, characters: int, instances: int, size: int, style: Style = Style(), seed: int = 0
) -> tuple[Tensor, list[str]]:
    """Draw `instances` images of each of `characters` characters of each of `alphabets` invented alphabets.

    Returns the images, uint8 of shape (alphabets * characters, instances, 1, size, size), light strokes (255) on dark
    (0), and the class names, "alphabet03/character07". The characters depend on `seed`, `alphabets` and `characters`
    alone, the hand that writes them on `instances` too; `size` and `style` change neither. About one character in a
    hundred, mostly a single stroke, has a near twin somewhere, as real alphabets share their O. The same call gives
    the same images on one machine; other processors may round differently, by a grey level here and there.

    Raises `UserError` if a count is below 1 or `size` below 8.
    """
    for name, value, least in (
        ("alphabets", alphabets, 1),
        ("characters", characters, 1),
        ("instances", instances, 1),
        ("size", size, 8),
    ):
        if value < least:
            raise UserError(f"glyphs: {name} = {value!r}, allowed is a whole number from {least}")

    invented = _invent(alphabets, characters, _stream(seed, "inventor"))
    dots, weight, pen = _write(invented, instances, style.jitter, _stream(seed, "hand"))
    dots = dots @ _turn_and_slant(style).T
    if style.clutter:
        strays, stray_weight = _scribble(len(dots), style.clutter, _stream(seed, "clutter"))
        dots, weight = torch.cat([dots, strays], 1), torch.cat([weight, stray_weight], 1)

    half_width = PEN / 2 * style.stroke_width * pen
    inverted = torch.rand(len(dots), generator=_stream(seed, "inversion")) < style.inversion
    sensor = _stream(seed, "noise")
    images = torch.empty(len(dots), size, size, dtype=torch.uint8)
    chunk = max(1, 2**22 // (dots.shape[1] * size))  # keeps the work in the processor's cache
    for part in torch.arange(len(dots)).split(chunk):
        grey = (255 * _ink(dots[part], weight[part], half_width[part], size)).round()
        grey = torch.where(inverted[part, None, None], 255 - grey, grey)
        if style.noise:
            grey += 255 * style.noise * torch.randn(grey.shape, generator=sensor)
        images[part] = grey.round().clamp(0, 255).to(torch.uint8)

    names = [f"alphabet{a:02d}/character{c:02d}" for a in range(1, alphabets + 1) for c in range(1, characters + 1)]
    return images.view(alphabets * characters, instances, 1, size, size), names


def _stream(seed: int, purpose: str) -> Generator:
    """Random numbers for one purpose: what one person draws never shifts the numbers of another."""
    return Generator().manual_seed(zlib.crc32(f"glyphs/{seed}/{purpose}".encode()))


def _uniform(low: float, high: float, shape: tuple[int, ...], generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


# The inventor


class Taste(NamedTuple):
    """What sets an alphabet apart from others, for each of A alphabets."""

    kinds: Tensor  # (A, K) how often it uses each of KINDS
    curl: Tensor  # (A, 1) factor on all bends
    side: Tensor  # (A, 1) share of the strokes that are mirrored
    anchors: Tensor  # (A, 12) places where its strokes begin and end, complex
    favour: Tensor  # (A, 12) how often it uses each of them
    strokes: Tensor  # (A, STROKES) how often a character has 1, 2, ... strokes
    shared: Tensor  # (A,) share of the longer characters that start with one of its stems
    joined: Tensor  # (A,) share of the strokes that begin where the one before began or ended
    slant: Tensor  # (A,) radians
    pen: Tensor  # (A,) factor on the pen's width

    def of(self, owner: Tensor) -> "Taste":
        """The tastes that rule characters of the alphabets `owner` (n,)."""
        return Taste(*(field[owner] for field in self))


def _tastes(count: int, generator: Generator) -> Taste:
    rows, columns = torch.meshgrid(torch.linspace(-0.5, 0.5, 4), torch.linspace(-0.36, 0.36, 3), indexing="ij")
    grid = torch.stack([columns, rows], -1).view(1, 12, 2) * _uniform(0.8, 1.1, (count, 1, 2), generator)
    length = _uniform(1.6, 3.2, (count, 1), generator)
    return Taste(
        kinds=_uniform(0, 1, (count, len(KINDS)), generator) ** 4 + 0.02,
        curl=_uniform(0.75, 1.15, (count, 1), generator),
        side=_uniform(0.2, 0.8, (count, 1), generator),
        anchors=torch.view_as_complex(grid + 0.07 * torch.randn(count, 12, 2, generator=generator)),
        favour=_uniform(0.15, 1, (count, 12), generator) ** 2,
        strokes=(-(torch.arange(1, STROKES + 1) - length).square() / 0.9).exp(),
        shared=_uniform(0.2, 0.8, (count,), generator),
        joined=_uniform(0.5, 1, (count,), generator),
        slant=0.13 * torch.randn(count, generator=generator),
        pen=(0.12 * torch.randn(count, generator=generator)).exp(),
    )


def _bend(kind: Tensor, taste: Taste, generator: Generator) -> Tensor:
    """Angles (n, S, 5) for strokes of these kinds (n, S), to the taste of each."""
    amount = taste.curl * _uniform(0.75, 1.25, kind.shape, generator)
    mirrored = torch.rand(kind.shape, generator=generator) < taste.side
    return KINDS[kind] * torch.where(mirrored, -amount, amount)[..., None]


def _invent(alphabets: int, characters: int, generator: Generator) -> Characters:
    """Make up alphabets, each with a taste of its own, and the characters that follow it."""
    tastes = _tastes(alphabets, generator)
    owner = torch.arange(alphabets).repeat_interleave(characters)
    taste, count = tastes.of(owner), len(owner)

    # How many strokes, which movements, and from where to where; the more strokes, the simpler each
    strokes = 1 + torch.multinomial(taste.strokes, 1, generator=generator)
    ease = torch.where(strokes == 1, EFFORT.square(), (-0.7 * (strokes - 2) * EFFORT).exp())
    kind = torch.multinomial(taste.kinds * ease, STROKES, replacement=True, generator=generator)
    angles = _bend(kind, taste, generator)
    ends = torch.multinomial(taste.favour, 2 * STROKES, generator=generator).view(count, STROKES, 2)

    # Shared parts: each alphabet has three stems, and many of its longer characters start with one of them
    stem_kind = torch.multinomial(tastes.kinds, 3, replacement=True, generator=generator)
    stem_angles = _bend(stem_kind, tastes, generator)
    stem_ends = torch.multinomial(tastes.favour, 6, generator=generator).view(alphabets, 3, 2)
    stem = torch.randint(3, (count,), generator=generator)
    takes = (torch.rand(count, generator=generator) < taste.shared) & (strokes[:, 0] > 1)
    angles[takes, 0] = stem_angles[owner, stem][takes]
    ends[takes, 0] = stem_ends[owner, stem][takes]

    # Joints: strokes like to begin where the one before ended, or began
    joins = torch.rand(count, STROKES, generator=generator) < taste.joined[:, None]
    at_end = torch.rand(count, STROKES, generator=generator) < 0.6
    for s in range(1, STROKES):
        before = torch.where(at_end[:, s], ends[:, s - 1, 1], ends[:, s - 1, 0])
        ends[:, s, 0] = torch.where(joins[:, s], before, ends[:, s, 0])

    start, goal = taste.anchors.gather(1, ends.flatten(1)).view(ends.shape).unbind(-1)
    drawn = (torch.arange(STROKES) < strokes).float()
    return Characters(_fit_page(Strokes(start, goal, angles, drawn)), taste.slant, taste.pen)


def _fit_page(plan: Strokes) -> Strokes:
    """Centre each character on the page and give its longer side the length EXTENT."""
    path = torch.view_as_real(_paths(plan)[0])
    absent = (plan.drawn == 0)[..., None, None]
    low = path.masked_fill(absent, math.inf).amin((1, 2))
    high = path.masked_fill(absent, -math.inf).amax((1, 2))
    middle = torch.view_as_complex((low + high) / 2)[:, None]
    scale = EXTENT / (high - low).amax(-1, keepdim=True)
    return plan._replace(start=(plan.start - middle) * scale, goal=(plan.goal - middle) * scale)


# The hand


def _write(invented: Characters, instances: int, jitter: float, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Write every character `instances` times.

    Returns, for the N = A * C * instances images, the dots along all strokes (N, S * DOTS, 2), the weight of each dot
    (N, S * DOTS) and the factor on the pen's width (N,).
    """

    def wobble(spread: float, *shape: int) -> Tensor:
        return jitter * spread * torch.randn(count, *shape, generator=generator)

    plan = Strokes(*(part.repeat_interleave(instances, 0) for part in invented.strokes))
    count = len(plan.drawn)

    # Each stroke on its own: it starts and ends elsewhere (short ones with more care) and bends more or less
    slip = torch.view_as_complex(wobble(0.032, 2, STROKES, 2))
    slip = slip * (4 * (plan.goal - plan.start).abs()[:, None]).clamp(max=1)
    bend = plan.angles * wobble(0.09, STROKES, 5) + wobble(0.11, STROKES, 5)
    written = Strokes(plan.start + slip[:, 0], plan.goal + slip[:, 1], plan.angles + bend, plan.drawn)
    path, weight = _paths(written, _reach(plan.angles))  # the planned size: more bend must not mean more ink

    # The character as a whole: turned, stretched, sheared, shifted
    turn, lean = wobble(0.10), wobble(0.10) + invented.slant.repeat_interleave(instances)
    stretch = (wobble(0.07, 1) + wobble(0.06, 2)).exp()
    dots = torch.view_as_real(path.flatten(1)) * stretch[:, None]
    dots = dots @ _affine(turn, lean).mT + wobble(0.045, 1, 2)
    pen = invented.pen.repeat_interleave(instances) * wobble(0.12).exp()
    return dots, weight.flatten(1), pen


def _affine(turn: Tensor, lean: Tensor) -> Tensor:
    """Matrices (..., 2, 2) that lean uprights to the right, then turn counter-clockwise, both in radians; y is down."""
    cos, sin = turn.cos(), turn.sin()
    shear = -lean.tan()
    return torch.stack([cos, cos * shear + sin, -sin, cos - sin * shear], -1).unflatten(-1, (2, 2))


def _turn_and_slant(style: Style) -> Tensor:
    turn, lean = torch.tensor([style.rotation, style.slant]).deg2rad()
    return _affine(turn, lean)


def _scribble(count: int, clutter: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Stray strokes on `count` pages, `clutter` on average: dots (count, n * DOTS, 2) and weights (count, n * DOTS)."""
    strays = torch.poisson(torch.full((count, 1), float(clutter)), generator=generator)
    shape = (count, int(strays.max()))
    kind = torch.randint(4, shape, generator=generator)  # line, bow, hook, wave
    start = torch.complex(*_uniform(-0.5, 0.5, (2, *shape), generator))
    way = torch.polar(_uniform(0.12, 0.4, shape, generator), _uniform(0, 2 * math.pi, shape, generator))
    angles = KINDS[kind] * _uniform(-1.2, 1.2, (*shape, 1), generator)
    drawn = (torch.arange(shape[1]) < strays).float()
    path, weight = _paths(Strokes(start, start + way, angles, drawn))
    return torch.view_as_real(path.flatten(1)), weight.flatten(1)


# The pen


def _headings(angles: Tensor) -> Tensor:
    """The pen's heading on each of DOTS equal steps (..., DOTS), linear in the angles of arcs and corners (..., 5)."""
    step = (torch.arange(DOTS) + 0.5) * 3 / DOTS  # in arcs: 0 to 3
    arcs = (step - torch.arange(3)[:, None]).clamp(0, 1)
    corners = (step > torch.arange(1, 3)[:, None]).float()
    return angles @ torch.stack([arcs[0], corners[0], arcs[1], corners[1], arcs[2]])


def _steps(angles: Tensor) -> Tensor:
    """The pen's DOTS steps of length 1, complex (..., DOTS), the first one roughly to the right."""
    heading = _headings(angles)
    return torch.polar(torch.ones_like(heading), heading)


def _reach(angles: Tensor) -> tuple[Tensor, Tensor]:
    """After which step (..., 1) a path is farthest from its start, and how far (..., 1).

    It is the end of a line, and halfway round a loop.
    """
    distance, step = _steps(angles).cumsum(-1).abs().max(-1, keepdim=True)
    return step, distance


def _paths(strokes: Strokes, reach: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """The dots along each stroke, complex (..., S, DOTS), and the weight of each dot (..., S, DOTS).

    A path begins at its stroke's start and is turned and scaled to be at the goal after the step `reach`, its own by
    default. A dot weighs as much as the piece of path that it stands for: along a long straight stroke the density
    of `_ink` is 1.
    """
    steps = _steps(strokes.angles)
    corners = steps.cumsum(-1)
    step, distance = _reach(strokes.angles) if reach is None else reach
    placing = (strokes.goal - strokes.start)[..., None] / (corners.gather(-1, step).sgn() * distance)
    dots = strokes.start[..., None] + placing * (corners - steps / 2)
    weight = strokes.drawn[..., None] * placing.abs() / (BLUR * math.sqrt(2 * math.pi))
    return dots, weight.expand(dots.shape)


def _ink(dots: Tensor, weight: Tensor, half_width: Tensor, size: int) -> Tensor:
    """How much of each pixel is covered by ink, (N, size, size) in 0..1, anti-aliased at any size.

    The distance from a pixel to the path is a soft minimum over the dots, -2 b^2 log sum_i w_i exp(-d_i^2 / 2 b^2).
    The Gaussian factors into x and y, so the sum over all dots is one batched matrix product.
    """
    centres = (torch.arange(size) + 0.5) / size - 0.5
    # the exponents stop at -40, a distance of 8.9 BLUR, before products become subnormal, which is slow
    near = (-0.5 * ((dots[..., None] - centres) / BLUR).square_()).clamp_(min=-40).exp_()  # (N, dots, 2, size)
    x, y = near.unbind(2)
    density = y.mT @ (x * weight[..., None])
    distance = size * BLUR * (-2 * density.log()).clamp(min=0).sqrt()
    half_width = size * half_width.clamp(max=8 * BLUR)[:, None, None]
    # overlap of a pixel's width, distance +- 1/2, with the line's, +- half_width
    return ((distance + 0.5).minimum(half_width) - (distance - 0.5).maximum(-half_width)).clamp(0, 1)
