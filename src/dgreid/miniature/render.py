"""Rendering: `World(...).draw(Shot(...))` is a 128 x 64 crop of one person.

Every ingredient has its own random stream, named by (seed, domain, what, who, camera, shot): the same names
give the same bytes in any order and any process, and replacing one ingredient leaves the others unchanged.
The steps are: scene, shadow, figure, occluder, downsampling, light, tone, blur, resolution, noise; the writer
then compresses.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from dgreid.miniature.camera import Camera, draw_camera, draw_yaw
from dgreid.miniature.canvas import Canvas
from dgreid.miniature.figure import Pose, View, draw_figure, draw_pose
from dgreid.miniature.identity import Identity, draw_identity
from dgreid.miniature.occluder import draw_occluder
from dgreid.miniature.scene import HEIGHT as SCENE_HEIGHT
from dgreid.miniature.scene import WIDTH as SCENE_WIDTH
from dgreid.miniature.scene import cloud, draw_scene
from dgreid.miniature.seeds import generator
from dgreid.miniature.style import Style, degrade, draw_style, light, tone

HEIGHT, WIDTH = 128, 64  # of a crop
PLACES = 2  # scenes per camera


@dataclass(frozen=True)
class Shot:
    """One image: the person, the camera (0, 1, ...), the number of the person's shot there."""

    person: int | str  # names the person within the domain
    camera: int
    number: int = 0
    box: str = "good"  # good; loose: a bad detection of the person; empty: no person


@dataclass(frozen=True)
class Drawn:
    """A drawn crop and, for checks, where the person is in it."""

    pixels: np.ndarray  # (128, 64, 3) uint8
    mask: np.ndarray  # (128, 64) float32, share of the pixel the person covers


class World:
    """A domain: its style, its cameras and its people.

    Args:
        domain: its name; part of every person's seed, so that no identity is in two domains.
        seed: of the benchmark.
        spread: scale of the style prior.
        style: instead of the drawn one, to swap single factors.
    """

    def __init__(self, domain: str, seed: int = 0, spread: float = 1.0, style: Style | None = None):
        self.domain, self.seed = domain, seed
        self.style = style or draw_style(self.stream("style"), spread)
        self.scene_seed = (seed, domain)  # of the scenes; another domain's swaps the background
        self.camera = lru_cache(None)(self._camera)
        self.person = lru_cache(256)(self._person)
        self.scene = lru_cache(64)(self._scene)

    def stream(self, *key: int | str) -> np.random.Generator:
        """The random stream called `key` in this domain."""
        return generator(self.seed, self.domain, *key)

    def _camera(self, number: int) -> Camera:
        first = self.stream("first yaw").uniform(0, 2 * np.pi)
        return draw_camera(self.stream("camera", number), first, number, self.style.pitch)

    def _person(self, name: int | str) -> Identity:
        return draw_identity(self.stream("person", name), self.style.season, self.style.colourfulness)

    def _scene(self, camera: int, place: int) -> np.ndarray:
        rng = generator(*self.scene_seed, "scene", camera, place)
        scene = draw_scene(rng, self.style.family, self.camera(camera).pitch)
        return (scene * 255 + 0.5).astype(np.uint8)  # as bytes, since many are cached

    def pose(self, shot: Shot) -> Pose:
        """The person's pose in this shot."""
        rng = self.stream("pose", shot.person, shot.camera, shot.number)
        return draw_pose(rng, draw_yaw(rng, self.camera(shot.camera)))

    def paint(self, shot: Shot, person: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Paint what is in front of the camera, before light and optics.

        Returns:
            (128, 64, 3) float32 colours and (128, 64) float32, the share of each pixel the person covers.
        """
        key, camera = (shot.person, shot.camera, shot.number), self.camera(shot.camera)
        big = self._window(self.stream("window", *key), shot)  # (256, 128, 3), twice the resolution
        view = _framing(self.stream("box", *key), shot, camera)
        folds = 1 + 0.06 * cloud(self.stream("folds", *key), 2 * HEIGHT, 2 * WIDTH, (20, 10))
        canvas = Canvas(big, folds.astype(np.float32), camera.light)
        if person and shot.box != "empty":
            who = self.person(shot.person)
            grown = replace(view, scale=view.scale * who.height)
            _shadow(big, grown, camera.light)
            draw_figure(canvas, who, self.pose(shot), grown)
        covered = draw_occluder(self.stream("occluder", *key), canvas, self, shot, view)
        return _halve(big), _halve((canvas.mask & ~covered).astype(np.float32))

    def expose(self, image: np.ndarray, shot: Shot) -> np.ndarray:
        """Apply light and tone: (128, 64, 3) float32 to the same."""
        rng = self.stream("light", shot.person, shot.camera, shot.number)
        camera, cast = self.camera(shot.camera), rng.normal(0, 0.02)
        gains = camera.gains + np.array([cast, 0, -cast]) + rng.normal(0, 0.08)
        return tone(light(image, self.style, gains, camera.gradient), self.style)

    def draw(self, shot: Shot, person: bool = True) -> Drawn:
        """Draw the shot; `person=False` leaves out the person and changes nothing else."""
        image, mask = self.paint(shot, person)
        noise = self.stream("noise", shot.person, shot.camera, shot.number)
        return Drawn(
            degrade(self.expose(image, shot), self.style, self.camera(shot.camera).blur, noise), mask
        )

    def _window(self, rng: np.random.Generator, shot: Shot) -> np.ndarray:
        """A random part of one of the camera's places, flipped half the time."""
        scene = self.scene(shot.camera, int(rng.integers(PLACES)))
        x = int(rng.integers(SCENE_WIDTH - 2 * WIDTH + 1))
        y = int(rng.integers(SCENE_HEIGHT - 2 * HEIGHT + 1))
        window = scene[y : y + 2 * HEIGHT, x : x + 2 * WIDTH]
        return (window[:, ::-1] if rng.random() < 0.5 else window).astype(np.float32) / 255


def _halve(image: np.ndarray) -> np.ndarray:
    """Average 2 x 2 pixels: (2H, 2W, ...) to (H, W, ...)."""
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) * np.float32(0.25)


def _framing(rng: np.random.Generator, shot: Shot, camera: Camera) -> View:
    """Draw the person's position and scale in the detector's box."""
    loose = 4.0 if shot.box == "loose" else 1.0
    scale = 2 * HEIGHT * 0.90 * np.exp(rng.normal(0, 0.035 * loose))
    x = WIDTH + 2 * WIDTH * rng.normal(0, 0.04 * loose)
    y = 2 * HEIGHT * (0.965 + rng.normal(0, 0.01 * loose)) + (rng.choice((-1, 1)) * 50 if loose > 1 else 0)
    return View(x, y, scale / np.cos(camera.pitch) ** 0.5, camera.pitch)


def _shadow(pixels: np.ndarray, view: View, side: float) -> None:
    """Darken the ground under the feet, in place."""
    rx, ry = 0.15 * view.scale, (0.022 + 0.05 * np.sin(view.pitch)) * view.scale
    x = np.arange(pixels.shape[1]) - (view.x - np.sin(side) * 0.07 * view.scale)
    y = np.arange(pixels.shape[0]) - (view.y - 0.02 * view.scale)
    dark = np.exp(-((y / ry) ** 2)[:, None] - ((x / rx) ** 2)[None])
    pixels *= (1 - 0.5 * dark).astype(np.float32)[..., None]
