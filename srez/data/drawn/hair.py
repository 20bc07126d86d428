"""The hair of drawn faces: behind the head and over it, brows and beard."""

import numpy as np

from srez.data.drawn.canvas import Canvas, Traits, bump, inside, skull


def strands(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random tones of `count` (a power of two) strands side by side, eight steps a strand."""
    tones = rng.standard_normal(count, dtype=np.float32)
    steps = np.arange(0, 1, 0.125, dtype=np.float32)
    return (tones[:, None] + (np.roll(tones, -1) - tones)[:, None] * steps).ravel()


def lookup(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The tones at places counted in strands; the table repeats without end."""
    return table[(place * 8).astype(np.int32) & (len(table) - 1)]


def hair_outside(canvas: Canvas, t: Traits) -> np.ndarray:
    """Signed distance of the hair's outline, [h, w]; the hair falls straight below the eyes."""
    crown = skull(canvas, t, t.hair_side, t.hair_top)
    across = (canvas.u + t.yaw * 6) / (t.half_width + t.hair_side + 0.12 * canvas.v)
    return np.where(canvas.v > 0, across * across - 1, crown) * (t.half_width / 2)


def hair_opening(canvas: Canvas, t: Traits) -> np.ndarray:
    """Signed distance of the window in the hair through which the face looks, [h, w]."""
    across = (canvas.u + t.yaw * 5 - t.hair_part * (canvas.v / -40).clip(0, 1)) / t.opening
    across = across * across
    up = np.minimum(canvas.v + 4, 0) / (t.hairline + 4)
    return (0.5 * across + 0.5 * across * across + up * up - 1) * (t.opening / 2)


STRANDS = {  # which strand a pixel belongs to, from (u, v, distance from the opening, noise)
    "arc": lambda u, v, edge, rough: edge + 2.5 * rough,
    "swept": lambda u, v, edge, rough: 0.55 * u + 0.9 * v + 3 * rough,
    "curl": lambda u, v, edge, rough: 6 * rough + 0.4 * v + 0.25 * u,
    "fan": lambda u, v, edge, rough: u * (70 / (90 + np.abs(v + 30))) + 1.5 * rough,
}


def hair_paint(canvas: Canvas, t: Traits, edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hair's colours [3, h, w] and the strands alone [h, w], about -2..2."""
    rough = canvas.noise(7 if t.hair_style == "curl" else 22)
    table = strands(canvas.rng, 256)
    strand = STRANDS[t.hair_style](canvas.u, canvas.v, edge, rough)
    texture = 0.6 * lookup(table, strand * 0.9) + 0.5 * lookup(table, strand * 0.23 + 99)
    slope = (canvas.u * t.light[0] + (canvas.v + 20) * t.light[1]) / 60
    band = bump((canvas.v + 46 - 0.006 * canvas.u * canvas.u + 4 * rough) / 17, canvas.u / 90)
    tone = np.maximum(0.8 + 0.45 * slope + 0.21 * texture, 0.12)
    sheen = band * np.maximum(0.5 + texture, 0)
    return t.hair * tone + (t.hair * 0.3 + t.gloss * 0.5) * sheen, texture


def hair_behind(canvas: Canvas, t: Traits) -> None:
    """The shaded hair that is seen beside the neck when it is long."""
    if t.hair_length > 20:
        box = canvas.near(-6 * t.yaw, 60, t.half_width + 12, 60)
        ends = inside(box.v - t.hair_length, 20)
        box.paint(inside(hair_outside(box, t), 2) * ends, t.hair * 0.45)


def hair_front(canvas: Canvas, t: Traits) -> None:
    """The hair around the face, its shadow on the forehead and its loose ends."""
    shadow = canvas.near(-6 * t.yaw, -15, t.half_width, 40)
    inner = inside(skull(shadow, t) * 20, 3)
    shadow.shade(inner * inside(-hair_opening(shadow, t) - 5, 10), 0.4)
    above, below = t.top + t.hair_top + 8, min(t.hair_length + 12, 110)
    reach_u, reach_v = t.half_width + t.hair_side + 20, (below + above) / 2
    canvas = canvas.near(-6 * t.yaw, (below - above) / 2, reach_u, reach_v)
    outside = hair_outside(canvas, t)
    scalp = np.where(canvas.v < 0, skull(canvas, t) * (t.half_width / 2), -99)
    # above the ears no gap may show between hair and head
    opening = np.maximum(hair_opening(canvas, t), scalp)
    paint, texture = hair_paint(canvas, t, opening)
    ends = inside(canvas.v - t.hair_length + 5 * texture, 12)
    within = inside(outside + (1.2 if t.hair_style != "curl" else 3) * texture, 2.5)
    canvas.paint(within * ends * inside(1.3 * texture - opening, 3.5), paint)


def brows(canvas: Canvas, t: Traits) -> None:
    """Two tapering arches of short hairs."""
    table = strands(canvas.rng, 64)
    tone = t.hair * 0.62 + t.skin * 0.08
    for side in (-1, 1):
        box = canvas.near(side * t.eye_x, -14, 18, 9)
        along = (side * box.u - t.eye_x + 14) / 30
        arch = -13 - t.brow_lift - 8 * along * (0.95 - along) - t.eye_tilt * 20 * (along - 0.3)
        thick = t.brow * (1.25 - 0.95 * along)
        hairs = lookup(table, (box.u * side + box.v * 0.7) * 0.8)
        distance = np.abs(box.v - arch) - thick + 0.5 * hairs
        ends = inside(np.abs(along - 0.48) * 30 - 14.5, 4)
        box.paint(inside(distance, 2.2) * ends * (0.82 + 0.1 * hairs), tone)


def beard(canvas: Canvas, t: Traits) -> None:
    """Stubble to full beard on jaw and upper lip, or only around the mouth."""
    if not t.beard:
        return
    box = canvas.near(-3 * t.yaw, 50, t.half_width + 3, 34)
    u, v = box.u - 4 * t.yaw, box.v - t.mouth_v
    speckle = box.rng.standard_normal(u.shape, dtype=np.float32)
    face = inside(skull(box, t) * (t.half_width / 2) - 0.5 + speckle, 4)
    low = inside(8 - 0.012 * u * u - v, 9)
    if t.goatee:
        low = low * inside(np.abs(u) - 17, 9)
    around = inside(np.maximum(np.abs(u) - 20, np.abs(v + 9) - 3.5), 5)
    free = bump(u / (t.mouth_width + 5), v / (t.lip * 2 + 7))
    grown = np.maximum(low, around) * face * (1 - np.minimum(free * 2.2, 1) * inside(-v - 6, 4))
    tone = t.hair * (0.6 + 0.16 * speckle) + t.skin * 0.05
    box.paint(grown * min(0.95, t.beard * 1.1), tone)
