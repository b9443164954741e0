"""A camera of a domain: its viewpoint, direction of walks, light and optics."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """Everything that is constant over all shots of one camera."""

    yaw: float  # direction people walk in, radians; 0 towards the camera
    wander: float  # spread of that direction
    pitch: float  # looks down, radians
    gains: np.ndarray  # (3,) log gains of red, green, blue
    gradient: float  # log gain at the right edge minus that at the left edge
    light: float  # azimuth of the light, radians
    blur: float  # added to the domain's sigma


def draw_camera(rng: np.random.Generator, first_yaw: float, number: int, pitch: float) -> Camera:
    """Draw camera `number` (0, 1, ...) of a domain; neighbours look a quarter turn apart."""
    cast = rng.normal(0, 0.05)
    gains = np.array([cast, 0.0, -cast]) + rng.normal(0, 0.15)
    return Camera(
        yaw=first_yaw + number * np.pi / 2 + rng.normal(0, 0.4),
        wander=rng.uniform(0.25, 0.6),
        pitch=float(np.clip(pitch + rng.normal(0, 0.06), 0, 0.42)),
        gains=gains,
        gradient=rng.normal(0, 0.12),
        light=float(rng.choice((-1, 1)) * rng.uniform(0.15, 0.8)),
        blur=rng.uniform(0, 0.25),
    )


def draw_yaw(rng: np.random.Generator, camera: Camera) -> float:
    """Draw the direction of one walk past the camera; some people walk the other way."""
    return float(camera.yaw + rng.normal(0, camera.wander) + np.pi * (rng.random() < 0.15))
