"""A contact sheet of miniature domains: one row per domain, each person in front of every camera."""

from collections.abc import Sequence

import numpy as np

from dgreid.miniature.render import HEIGHT, WIDTH, Shot, World


def contact_sheet(
    domains: Sequence[str], people: int = 5, cameras: int = 4, seed: int = 0, spread: float = 1.0
) -> np.ndarray:
    """Draw `people` identities of each domain, each seen by `cameras` cameras, side by side.

    Returns:
        (rows, columns, 3) uint8, white between the crops and a wider gap between people.
    """
    line, gap = 2, 6
    person = cameras * (WIDTH + line) + gap
    sheet = np.full((len(domains) * (HEIGHT + line), people * person, 3), 255, np.uint8)
    for row, domain in enumerate(domains):
        world = World(domain, seed, spread)
        for who in range(people):
            for camera in range(cameras):
                y, x = row * (HEIGHT + line), who * person + camera * (WIDTH + line)
                sheet[y : y + HEIGHT, x : x + WIDTH] = world.draw(Shot(who + 1, camera)).pixels
    return sheet
