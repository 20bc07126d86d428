"""What drawn faces are made of: palettes, the traits of a face, the canvas, and shapes on it.

Two rules keep it quick and reproducible. Arrays are float32 planes [3, H, W] or [H, W], so that
every operation is a long inner loop which lets other threads run. Arrays see only + - * /, sqrt,
minimum, maximum, floor and look-ups, which round alike on every processor; exp and its kin do not.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 178, 218
CENTER_X, CENTER_Y = 88.5, 111.0  # midway between the eyes: the origin of face coordinates
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
X, Y = X - CENTER_X, Y - CENTER_Y


def palette(colors: str) -> np.ndarray:
    """Colours written in hexadecimal as [n, 3, 1, 1] float32 in 0..255."""
    values = [list(bytes.fromhex(one)) for one in colors.split()]
    return np.array(values, np.float32)[:, :, None, None]


def color(values: object) -> np.ndarray:
    """Three numbers as one colour, [3, 1, 1] float32."""
    return np.asarray(values, np.float32).reshape(3, 1, 1)


def interpolate(anchors: np.ndarray, place: float) -> np.ndarray:
    """The colour at a place in 0..1 on the line through a palette, [3, 1, 1]."""
    place *= len(anchors) - 1
    low = min(int(place), len(anchors) - 2)
    return anchors[low] + (anchors[low + 1] - anchors[low]) * (place - low)


SKINS = palette("f4d0bc eabea2 daa886 be8a66 966648 704a34 54372a")
HAIRS = palette("1e1919 34241c 543826 763e26 845e3c ba925e dabe8e")
IRISES = palette("342016 54361e 605c34 4a6c54 547696 748088")
LIPS = palette("ffa89e f5948f f06b70 db4252") / 255  # what they leave of the skin's colour
GRAY = palette("bcbab8")[0]
SHADOW_TINT = color([0.85, 1, 1.08])


def normal(rng: np.random.Generator, mean: float, spread: float) -> float:
    """A normal number that stays within two and a half spreads."""
    return mean + spread * min(max(float(rng.standard_normal()), -2.5), 2.5)


class Traits:
    """All that distinguishes one face, drawn in this order; what comes first shapes what follows.

    Lengths are pixels, v points downwards from the eyes, colours are [3, 1, 1].
    """

    def __init__(self, rng: np.random.Generator) -> None:
        random, uniform = rng.random, rng.uniform
        self.female = female = random() < 0.5
        self.age = random() ** 1.5  # 0 young .. 1 old
        dark = random() ** 1.4
        self.skin = interpolate(SKINS, dark) * color(uniform(0.96, 1.04, 3))
        self.roll = normal(rng, 0, 0.03)  # radians
        self.yaw = normal(rng, 0, 0.55)  # positive looks to the right of the picture
        light = normal(rng, 0, 0.45), uniform(-0.75, -0.05), 1.0
        self.light = tuple(part / math.hypot(*light) for part in light)  # unit vector towards it
        self.ambient = uniform(0.25, 0.7)  # share of the light that comes from everywhere
        self.gloss = uniform(5, 55)
        self.half_width = normal(rng, 42.5 if female else 44, 1.6)
        self.top = normal(rng, 62, 2.5)
        self.chin = normal(rng, 69 if female else 73, 2.2)
        self.jaw = normal(rng, 0.2 if female else 0.12, 0.05)  # share lost towards the chin
        self.smile = uniform(-0.1, 1.1)
        self.eye_x = normal(rng, 19.5, 0.7)  # half the distance between the eyes
        self.eye_width = normal(rng, 9.6, 0.6)
        self.eye_open = normal(rng, 4.9 if female else 4.2, 0.6) - 0.9 * self.smile - 0.6 * self.age
        self.eye_tilt = normal(rng, 0.05, 0.05)
        self.gaze = normal(rng, 0, 1.1)
        self.iris = interpolate(IRISES, random() ** (1 + 3 * dark))
        self.makeup = random() * female
        self.brow = normal(rng, 1.7 if female else 2.6, 0.4)  # thickness
        self.brow_lift = normal(rng, 0, 1.2)
        self.nose_width = normal(rng, 8.6 if female else 10, 0.8) + 1.5 * dark
        self.nose_v = normal(rng, 25, 1.3)
        self.mouth_v = normal(rng, 42, 1.4)
        self.mouth_width = normal(rng, 16, 1.0) + 2.5 * self.smile
        self.mouth_open = max(0.0, uniform(-2.5, 6) * (0.4 + 0.6 * self.smile))
        self.lip = normal(rng, 4.4 if female else 3.4, 0.6) + dark  # fullness
        self.lip_color = self.skin * interpolate(LIPS, random() * (1 if female else 0.3))
        long_hair = random() < (0.8 if female else 0.08)
        bald = not female and random() < 0.1 + 0.25 * self.age
        self.hair = interpolate(HAIRS, random() ** (1.5 + 4 * dark))
        if random() < self.age * 1.1 - 0.25:
            self.hair = self.hair + (GRAY - self.hair) * uniform(0.4, 1)
        self.hair_style = str(rng.choice(["arc", "swept", "curl", "fan", "fan"]))
        curls = self.hair_style == "curl"
        self.hair_side = (uniform(4, 16) if long_hair else uniform(0.5, 5)) + 6 * curls
        self.hair_top = -5.0 if bald else uniform(2, 9) + 7 * random() * curls
        self.hair_length = uniform(45, 150) if long_hair else uniform(-4, 16)  # v where it ends
        self.hairline = normal(rng, -39, 3.5) - 5 * self.age  # v of its highest point
        if random() < (0.3 if long_hair else 0.12):
            self.hairline = uniform(-24, -13)
        if bald:
            self.hairline = -66.0
        self.hair_part = normal(rng, 0, 9 if long_hair else 4) * (not bald)
        self.opening = self.half_width * (uniform(0.8, 0.96) if long_hair else uniform(0.93, 1))
        self.beard = max(0.0, uniform(-1, 1)) * (not female)
        self.goatee = random() < 0.35
        self.glasses = str(rng.choice(["", "wire", "frame", "sun"], p=[0.83, 0.06, 0.07, 0.04]))
        self.clothes = color(uniform(15, 225) + uniform(-30, 30, 3))


@dataclass
class Canvas:
    """A picture [3, h, w] in 0..255, the face coordinates [h, w] of its pixels, and a source of noise."""

    rgb: np.ndarray
    u: np.ndarray
    v: np.ndarray
    roll: float
    rng: np.random.Generator

    @classmethod
    def whole(cls, roll: float, rng: np.random.Generator) -> "Canvas":
        """The canvas of a whole face, not painted yet, turned by `roll` radians."""
        u, v = X + Y * roll, Y - X * roll
        return cls(np.empty((3, HEIGHT, WIDTH), np.float32), u, v, roll, rng)

    def near(self, u: float, v: float, reach_u: float, reach_v: float) -> "Canvas":
        """The part of a whole canvas around a point of the face; painting the part paints the whole."""
        x, y = CENTER_X + u - v * self.roll, CENTER_Y + v + u * self.roll
        rows = slice(max(0, int(y - reach_v)), int(y + reach_v) + 2)
        columns = slice(max(0, int(x - reach_u)), int(x + reach_u) + 2)
        u_there, v_there = self.u[rows, columns], self.v[rows, columns]
        return Canvas(self.rgb[:, rows, columns], u_there, v_there, self.roll, self.rng)

    def spot(self, u: float, v: float, reach_u: float, reach_v: float) -> tuple:
        """The part around a point of the face, and coordinates in it: the point as 0, the reach as 1."""
        there = self.near(u, v, reach_u, reach_v)
        return there, (there.u - u) * (1 / reach_u), (there.v - v) * (1 / reach_v)

    def paint(self, mask: np.ndarray, paint: np.ndarray) -> None:
        """Cover with a colour [3, 1, 1] or picture [3, h, w] where the mask [h, w] is 1."""
        change = paint - self.rgb
        change *= mask
        self.rgb += change

    def shade(self, mask: np.ndarray, strength: float) -> None:
        """Darken where the mask [h, w] is 1; like shadow on skin, blue goes first and red last."""
        self.rgb *= 1 - SHADOW_TINT * (mask * strength)

    def noise(self, cell: int) -> np.ndarray:
        """Smooth noise [h, w] in grains of about `cell` pixels, mostly within -2..2."""
        height, width = self.u.shape
        grid = self.rng.standard_normal((height // cell + 2, width // cell + 2), dtype=np.float32)
        return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BILINEAR))

    def develop(self) -> np.ndarray:
        """The whole canvas as [218, 178, 3] uint8, with exposure, tint, grain and a little blur."""
        rng, rgb = self.rng, self.rgb
        rgb *= color(normal(rng, 1.0, 0.12) * (1 + rng.normal(0, 0.035, 3)))
        grain = rng.integers(0, 256, (HEIGHT + 9, WIDTH + 7), dtype=np.uint8).astype(np.float32)
        rgb += (grain[9:, 7:] - grain[:-9, :-7]) * (rng.uniform(0.5, 4) / 104)  # 104: its deviation
        planes = [Image.fromarray(plane) for plane in rgb.clip(0, 255).astype(np.uint8)]
        picture = Image.merge("RGB", planes)
        if rng.random() < 0.6:
            picture = picture.filter(ImageFilter.BoxBlur(rng.uniform(0.05, 0.5)))
        return np.array(picture)


def inside(signed: np.ndarray, soft: float = 1.0) -> np.ndarray:
    """1 where a signed distance is negative, 0 where positive, a ramp of `soft` pixels between."""
    return (0.5 - signed * (1 / soft)).clip(0, 1)


def bump(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth hill of height 1 over the unit circle."""
    hill = (1 - x * x - y * y).clip(0, 1)
    return hill * hill


def wave(x: np.ndarray) -> np.ndarray:
    """A sine of period 1, made of parabolas."""
    x = x - np.floor(x) - 0.5
    return 8 * x * (2 * np.abs(x) - 1)


def skull(canvas: Canvas, t: Traits, wider: float = 0.0, higher: float = 0.0) -> np.ndarray:
    """The head's outline as x^2 + y^2 - 1: below 0 inside, about 2 / half_width a pixel."""
    across = canvas.u + t.yaw * 6
    down = np.maximum(canvas.v, 0) / t.chin
    up = np.minimum(canvas.v, 0) / (t.top + higher)
    across = across / ((t.half_width + wider) * (1 - t.jaw * down))
    return across * across + down * down * (0.25 + 0.75 * down) + up * up - 1
