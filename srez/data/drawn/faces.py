"""The built-in dataset: faces drawn by number, in the frame of aligned CelebA (178 x 218).

`draw(number, seed)` draws traits from a counter-based generator, then runs PARTS, a list of small
functions which each paint one thing onto the canvas, back to front. They are drawn, not photographs.
"""

import math
import threading
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from srez.data.drawn.canvas import HEIGHT, WIDTH, Canvas, Traits, bump, color, inside, palette, skull, wave
from srez.data.drawn.hair import beard, brows, hair_behind, hair_front

VERSION = 1
# numpy lets go of the interpreter in each of a face's thousand short operations. Threads that draw
# together hand it to and fro and are slower than one alone; they still run beside other work.
DRAWING_LOCK = threading.Lock()

WHITE, TEETH, CAVITY, INK, WIRE = palette("e8e0dc ece4d6 3a1818 1e1818 786954")
BLUSH_TINT, HALF_LIT_TINT = color([0, 0.11, 0.08]), color([0.14, 0, -0.08])


def background(canvas: Canvas, _: Traits) -> None:
    """Two colours in a gradient with shapes on it; drawn small and enlarged, so out of focus."""
    rng = canvas.rng
    cell = int(rng.choice([2, 4, 8, 12]))
    width, height = WIDTH // cell + 2, HEIGHT // cell + 2
    tones = rng.uniform(10, 240) + rng.normal(0, 42, (6, 1)) + rng.normal(0, 18, (6, 3))
    fade = np.linspace(0, 1, height)[:, None, None] + rng.normal(0, 0.03, (height, width, 1))
    picture = (tones[0] + (tones[1] - tones[0]) * fade).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(picture)
    pen = ImageDraw.Draw(picture)
    for tone in tones[2 : 2 + int(rng.integers(0, 5))].clip(0, 255).astype(int).tolist():
        x, y, w, h = rng.uniform(0, 1, 4).tolist()
        box = x * width - 2, y * height - 2, (x + 0.6 * w) * width, (y + 0.8 * h) * height
        (pen.ellipse if rng.random() < 0.4 else pen.rectangle)(box, fill=tuple(tone))
    soft = picture.filter(ImageFilter.BoxBlur(0.8))
    picture = soft.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    for plane, band in zip(canvas.rgb, picture.split(), strict=True):
        plane[:] = band


def neck(canvas: Canvas, t: Traits) -> None:
    """Neck and shoulders, with the shadow of the jaw."""
    lower = canvas.near(0, 84, 100, 50)
    middle = lower.u + 3 * t.yaw
    across = middle / (t.half_width * (0.6 if t.female else 0.74))
    flare = np.maximum(lower.v - 84, 0) * 0.02
    column = inside((np.abs(across) - 1 - flare) * 30, 1.5)
    tone = 0.78 + 0.3 * t.light[0] * across - 0.1 * across * across
    lower.paint(column, t.skin * np.clip(tone, 0.2, 1))
    lower.shade(column * bump(across / 1.6, (lower.v - t.chin + 4) / 28), 0.6)
    cut = 84 + middle * middle * 0.006
    cut = np.where(np.abs(across) < 0.9, cut + (0.9 - np.abs(across)) * 26, cut)
    folds = 1 + 0.12 * lower.noise(14)
    lower.paint(inside(cut - lower.v, 1.5), t.clothes * folds)


# u (in eye distances, on both sides), v, reach u and v, height, shift when turned: in pixels
RELIEF = [
    (0, 5, 12, 29, 4.4, 5), (1.06, 0, 15, 11, -3.8, 0), (0.95, -14, 21, 9, 2.2, 0),
    (1.35, 19, 21, 20, 3.5, 2), (0, 40, 27, 18, 3.5, 4), (0, 53, 15, 6, -2.2, 4),
    (0, 63, 17, 13, 4.5, 4), (0, -38, 38, 24, 3, 1),
]  # fmt: skip


def relief(canvas: Canvas, t: Traits) -> Canvas:
    """How far the features stand out from the head, in pixels: a canvas of one plane."""
    base = replace(canvas, rgb=np.zeros((1, HEIGHT, WIDTH), np.float32))
    wing = t.nose_width * 0.75 / t.eye_x
    nose = [(0, t.nose_v - 1, 11.5, 11.5, 6.2, 8), (wing, t.nose_v + 2, 6.5, 6.5, 3, 6)]
    for u, v, reach_u, reach_v, height, shift in RELIEF + nose:
        for side in (u, -u) if u else (0,):
            hill, x, y = base.spot(side * t.eye_x + shift * t.yaw, v, reach_u, reach_v)
            hill.rgb += height * bump(x, y)
    return base


def head(canvas: Canvas, t: Traits) -> None:
    """Ears, then the skin lit over its relief, with blush, mottling and gloss."""
    for side in (-1, 1):
        ear, x, y = canvas.spot(side * t.half_width - t.yaw * 6, 8, 8, 18)
        ear.paint(inside((1.5 * (x * x + y * y) - 1) * 4), t.skin * 0.8)
        ear.shade(bump(x * 1.9, y * 1.7), 0.45)
    place = -6 * t.yaw, 5, t.half_width + 4, 76
    box = canvas.near(*place)
    outline = skull(box, t)
    depth = 34 * np.sqrt((-outline).clip(0, 1)) + relief(canvas, t).near(*place).rgb[0]
    slope_v, slope_u = np.gradient(depth)
    length = np.sqrt(1 + slope_u * slope_u + slope_v * slope_v)
    right, down, front = t.light
    facing = np.maximum((front - right * slope_u - down * slope_v) / length, 0)
    lit = t.ambient + (1 - t.ambient) * facing * (1 / max(front, 0.75))
    lit *= 1 + 0.03 * box.noise(5)
    half = math.sqrt(right * right + down * down + (front + 1) ** 2)
    specular = np.maximum(((front + 1) - right * slope_u - down * slope_v) / (length * half), 0)
    for _ in range(4):
        specular = specular * specular
    half_lit = lit * (1 - np.minimum(lit, 1))
    skin = t.skin * (lit + HALF_LIT_TINT * half_lit) + t.gloss * specular
    box.paint(inside(outline * (t.half_width / 2), 1.5), skin)
    for side in (-1, 1):
        cheek, x, y = canvas.spot(side * 25 + 3 * t.yaw, 20, 17, 15)
        cheek.rgb *= 1 - BLUSH_TINT * bump(x, y) * (1 + t.makeup)


def folds(canvas: Canvas, t: Traits) -> None:
    """Lines from nose to mouth corners, bags under the eyes, wrinkles on the forehead."""
    strength = 0.1 + 0.2 * t.age + 0.14 * max(t.smile, 0)
    for side in (-1, 1):
        box = canvas.near(side * 17, 34, 16, 18)
        along = (box.v - t.nose_v) / (t.mouth_v + 6 - t.nose_v)
        bow = side * (t.nose_width + 2 + 10 * along * (1.3 - 0.4 * along))
        crease = bump((box.u - bow - 5 * t.yaw) / 3.2, (along - 0.45) / 0.75)
        box.shade(crease, strength)
        bag, x, y = canvas.spot(side * t.eye_x, 9, 12, 6)
        bag.shade(bump(x, y * 2 + x * x), 0.08 + 0.22 * t.age)
    forehead, x, y = canvas.spot(0, -28, 30, 14)
    lines = wave(y * 2 + x * x * 0.5).clip(0, 1) * bump(x, y)
    forehead.shade(lines, 0.22 * max(t.age - 0.3, 0))


def eyes(canvas: Canvas, t: Traits) -> None:
    """Both eyes: shadow, white, iris, pupil, highlight, lashes and the crease of the lid."""
    for side in (-1, 1):
        width = t.eye_width * (1 - 0.1 * side * t.yaw)
        box = canvas.near(side * t.eye_x, -1, 17, 14)
        u = box.u - side * t.eye_x
        v = box.v + t.eye_tilt * side * u
        across = u / width
        bow = (1 - across * across).clip(0, 1)
        upper = v + t.eye_open * bow * (1.1 - 0.12 * side * across)
        lower = v - 2.9 * bow
        shut = np.maximum(-upper, lower)
        box.shade(bump(u / 17, (v + 5) / 8), 0.1 + 0.35 * t.makeup * t.makeup)
        ball = inside(np.maximum(shut, (np.abs(across) - 1) * width), 1.1)
        white = WHITE * np.clip(0.62 + 0.075 * upper - 0.25 * across * across, 0, 1)
        x, y = u - t.gaze - 1.2 * t.yaw, v + 0.9
        radius = np.sqrt(x * x + y * y)
        iris = t.iris * np.clip(0.65 + 0.1 * y + 0.08 * radius, 0.3, 1.4)
        white += inside(radius - 4.7, 1.4) * (iris - white)
        white *= 1 - 0.5 * inside(np.abs(radius - 4.7) - 0.4, 1.2)
        white *= 1 - 0.92 * inside(radius - 2.0, 1.2)
        glint = inside((x - 2.2 * t.light[0] - 0.6) ** 2 + (y + 1.7) ** 2 - 1.5, 2.5)
        white += glint * (250 - white)
        box.paint(ball, white)
        reach = inside(np.abs(u) - width - 1.5 * t.makeup, 2)
        lash = inside(np.abs(upper + 0.4) - 0.65 - 0.9 * t.makeup, 1.3) * reach
        box.paint(lash * (0.75 + 0.2 * t.makeup), INK)
        box.shade(inside(np.abs(lower - 0.5) - 0.4, 1.6) * reach, 0.3 + 0.3 * t.makeup)
        crease = np.abs(v + (t.eye_open + 3.2) * (1 - 0.75 * across * across)) - 0.3
        box.shade(inside(crease, 2) * inside(np.abs(across) * 10 - 10.5, 3), 0.4)


def nose(canvas: Canvas, t: Traits) -> None:
    """Nostrils, wings and the shadow beneath; the rest of the nose is in the relief."""
    box = canvas.near(6 * t.yaw, t.nose_v + 3, 19, 14)
    u, v = box.u - 6 * t.yaw, box.v - t.nose_v
    box.shade(bump((u + 5 * t.light[0]) / (t.nose_width + 3), (v - 7.5) / 4.5), 0.42)
    for side in (-1, 1):
        x = u - side * t.nose_width * 0.5
        y = v - 4.6 + 0.15 * side * x
        box.shade(inside(x * x * 0.2 + y * y * 0.9 - 2, 2), 0.62)
        x, y = (u * side - t.nose_width) / 2.6, (v - 2) / 6
        box.shade(bump(x + y * y, y), 0.28)


def mouth(canvas: Canvas, t: Traits) -> None:
    """Lips around a line or an opening with teeth; a smile lifts the corners."""
    width, shift = t.mouth_width, 4 * t.yaw
    box = canvas.near(shift, t.mouth_v, width + 7, 17)
    u = box.u - shift
    across = u / width
    bow = (1 - across * across).clip(0, 1)
    v = box.v - t.mouth_v + (1 + 6.5 * t.smile) * across * across - 2 * t.smile
    cupid = t.lip * 0.85 * bow * (0.8 + 0.5 * np.abs(across)) + 0.6 * bow
    gap = t.mouth_open * bow
    upper, lower = v + gap * 0.45 + cupid, v - gap * 0.75 - t.lip * 1.25 * np.sqrt(bow) * bow
    ends = (np.abs(across) - 1) * width
    box.shade(bump(u / (width * 0.75), (v - gap * 0.75 - t.lip * 1.9) / 4), 0.3)
    lips = inside(np.maximum(np.maximum(-upper, lower), ends), 1.6)
    tone = np.where(v < 0, 0.8, 1.02 - 0.02 * v) + 0.05 * wave(u / 3.1) + 0.12 * t.light[0] * across
    shine = bump(u / (width * 0.5), (v - gap * 0.75 - t.lip * 0.55) / 1.8) * t.gloss
    box.paint(lips, t.lip_color * tone * (0.55 + 0.4 * min(t.ambient + 0.4, 1)) + shine)
    inner = inside(np.maximum(np.maximum(-v - gap * 0.45, v - gap * 0.75), ends + 1), 1.4)
    teeth = TEETH * (0.95 - 0.5 * across * across - 0.12 * (wave(u / 4.3) > 0.93))
    row = inside(v - gap * 0.45 + 0.5, 1.5)
    box.paint(inner * min(t.mouth_open, 1), CAVITY + row * (teeth - CAVITY))
    box.shade(inside(np.abs(v + gap * 0.45) - 0.35, 1.6) * inside(ends - 1, 3), 0.62)


def glasses(canvas: Canvas, t: Traits) -> None:
    """Rims, bridge and arms; dark lenses when they are sunglasses."""
    if not t.glasses:
        return
    box = canvas.near(0, 2, t.half_width + 6, 18)
    thick = 0.6 if t.glasses == "wire" else 1.2
    side = np.abs(box.u - 1.5 * t.yaw)
    x, y = (side - t.eye_x) / 15.5, (box.v - 2) / 11.5
    x, y = x * x, y * y
    lens = (x * x + y * y + 0.5 * (x + y) - 1.3) * 4
    tint = 0.85 if t.glasses == "sun" else 0.06
    streak = 34 * inside(np.abs(box.u * 0.6 + box.v - 4) - 3, 3)
    box.paint(inside(lens, 1.2) * tint, INK + streak)
    bar = np.abs(box.v + 2) - thick
    arm = np.maximum(np.maximum(bar, t.eye_x + 14 - side), np.abs(box.u + 6 * t.yaw) - t.half_width)
    bar = np.maximum(bar, side - t.eye_x + 15)
    rim = np.minimum(np.minimum(np.abs(lens) - thick, bar), arm)
    box.paint(inside(rim, 1.4) * 0.92, WIRE if t.glasses == "wire" else INK)


PARTS = (background, hair_behind, neck, head, folds, eyes, nose, mouth, beard, brows, glasses, hair_front)


def generator(number: int, seed: int) -> np.random.Generator:
    """The random numbers of one face; Philox counts, so no face depends on another."""
    key = np.array([seed, number], np.uint64)  # a plain list would pass through float64
    return np.random.Generator(np.random.Philox(key=key))


def draw(number: int, seed: int = 0) -> np.ndarray:
    """Face `number` of the endless set of faces `seed`, [218, 178, 3] uint8, RGB.

    The same bytes in every process and thread, whatever was drawn before. Number and seed are in
    0 .. 2^64 - 1; others raise OverflowError.
    """
    rng = generator(number, seed)
    traits = Traits(rng)
    with DRAWING_LOCK:
        canvas = Canvas.whole(traits.roll, rng)
        for part in PARTS:
            part(canvas, traits)
        return canvas.develop()
