"""A person in a pose, painted from back to front: skeleton, clothes, head, bags.

Body coordinates: X to the person's left, Y up, Z forward, standing height 1, ground at Y = 0. The camera
sees them rotated by the yaw and tilted by the pitch, without perspective. The gait is a property of the
shot, never of the identity.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from dgreid.miniature import textures
from dgreid.miniature.canvas import Canvas, Texture, plain
from dgreid.miniature.identity import Identity

HIP, SHOULDER, HEAD = 0.52, 0.80, 0.918  # heights of the joints and of the head's centre
THIGH, SHIN, UPPER_ARM, FOREARM = 0.235, 0.235, 0.15, 0.135


@dataclass(frozen=True)
class Pose:
    """The pose of the body in one shot (angles in radians)."""

    yaw: float  # 0: walks towards the camera
    phase: float  # of the gait
    swing: float  # amplitude of the thighs
    elbow: float
    spread: float  # arms away from the body
    head: float  # turn of the head


@dataclass(frozen=True)
class View:
    """Position and scale of the body in the image."""

    x: float  # pixels, of the body axis
    y: float  # pixels, of the ground under it
    scale: float  # pixels per standing height 1
    pitch: float  # radians the camera looks down


def draw_pose(rng: np.random.Generator, yaw: float) -> Pose:
    """Draw a random moment of a walk (one in five stands) in direction `yaw`."""
    standing = rng.random() < 0.2
    return Pose(
        yaw=yaw,
        phase=rng.uniform(0, 2 * np.pi),
        swing=rng.uniform(0.02, 0.1) if standing else rng.uniform(0.24, 0.46),
        elbow=rng.uniform(0.1, 0.6),
        spread=rng.uniform(0.04, 0.16),
        head=rng.normal(0, 0.22),
    )


class _Painter:
    """Projects body points and collects parts with their depth."""

    def __init__(self, canvas: Canvas, person: Identity, pose: Pose, view: View):
        self.canvas, self.person, self.pose, self.view = canvas, person, pose, view
        self.cos, self.sin = np.cos(pose.yaw), np.sin(pose.yaw)
        self.parts = []

    def point(self, x: float, y: float, z: float) -> tuple[tuple[float, float], float]:
        """Image position (column, row) of a body point, and its depth towards the camera."""
        right = x * self.cos + z * self.sin
        depth = -x * self.sin + z * self.cos
        up = y * np.cos(self.view.pitch) - 0.8 * depth * np.sin(self.view.pitch)
        return (self.view.x + self.view.scale * right, self.view.y - self.view.scale * up), depth

    def half(self, a: float, b: float) -> float:
        """Projected half width, in pixels, of an ellipse with half axes a (sideways) and b (forward)."""
        return self.view.scale * float(np.hypot(a * self.cos, b * self.sin))

    def limb(self, start, end, radii, texture: Texture, order: float, shade: float = 1.0) -> None:
        """Queue a capsule between two body points; `order` is added to its depth."""
        (a, da), (b, db) = self.point(*start), self.point(*end)
        size = [radius * self.view.scale for radius in radii]
        draw = partial(self.canvas.capsule, a, b, size, texture, self.pose.yaw, shade)
        self.parts.append(((da + db) / 2 + order, draw))

    def body(self, sections, texture: Texture, order: float, x=0.0, z=0.0, unit=False, shade=1.0) -> None:
        """Queue a stack of sections (height, half width, half depth), from the top down."""
        points = [self.point(x, y, z)[0] for y, _, _ in sections]
        halves = [self.half(a, b) for _, a, b in sections]
        heights = np.array([y for y, _, _ in sections])
        depth = self.point(x, 0, z)[1]
        deepest = max(b for _, _, b in sections)
        sag = 0.8 * deepest * np.tan(self.view.pitch)
        if unit:  # texture height 0 .. 1
            span = heights[0] - heights[-1]
            heights, sag = (heights - heights[-1]) / span, sag / span
        columns, rows = [p[0] for p in points], [p[1] for p in points]
        draw = partial(self.canvas.stack, rows, columns, halves, heights, texture, self.pose.yaw, sag, shade)
        self.parts.append((depth + order, draw))

    def ball(self, centre, radii, texture: Texture, order: float, turn=0.0, shade: float = 1.0) -> None:
        """Queue an ellipsoid with half axes (sideways, up, forward)."""
        place, depth = self.point(*centre)
        size = (self.half(radii[0], radii[2]), radii[1] * self.view.scale)
        draw = partial(self.canvas.ellipsoid, place, size, texture, self.pose.yaw + turn, shade)
        self.parts.append((depth + order, draw))

    def paint(self) -> None:
        """Paint the queued parts, far ones first."""
        for _, draw in sorted(self.parts, key=lambda part: part[0]):
            draw()


def draw_figure(canvas: Canvas, person: Identity, pose: Pose, view: View) -> None:
    """Paint the person onto the canvas."""
    painter = _Painter(canvas, person, pose, view)
    lift = _legs(painter)
    hands = _arms(painter, lift)
    _trunk(painter, lift)
    _head(painter, lift)
    _bag(painter, lift, hands)
    painter.paint()


def _legs(painter: _Painter) -> float:
    """Queue legs and feet; returns how far to sink the body (negative) so that the lower foot stands."""
    person, pose = painter.person, painter.pose
    wide = person.stoutness**0.8
    legs = []
    for side in (-1, 1):
        phase = pose.phase + (np.pi if side > 0 else 0)
        swing = pose.swing * np.sin(phase)
        bend = 0.04 + pose.swing * (1.25 * max(0.0, np.cos(phase)) + 0.45 * max(0.0, -np.sin(phase)))
        hip = np.array([side * 0.052 * wide, HIP, 0.0])
        knee = hip + THIGH * np.array([0.03 * side, -np.cos(swing), np.sin(swing)])
        ankle = knee + SHIN * np.array([-0.02 * side, -np.cos(swing - bend), np.sin(swing - bend)])
        legs.append((hip, knee, ankle, swing - bend))
    lift = 0.045 - min(leg[2][1] for leg in legs)
    bare = person.bottom in ("skirt", "dress", "shorts")
    loose = 0.0 if bare else 0.006
    up = np.array([0, lift, 0])
    for hip, knee, ankle, lean in legs:
        tilt = lean * 0.6
        toe = ankle + 0.085 * np.array([0, np.sin(tilt) - 0.18, np.cos(tilt)])
        heel = ankle + np.array([0, -0.02, -0.018])
        depth = painter.point(*(hip + knee) / 2)[1]
        shade = 0.86 if depth < -0.01 else 1.0  # the far leg is shaded by the near one
        thigh = (0.061 * wide + loose, 0.043 * wide + loose)
        if person.bottom == "shorts":
            thigh = (0.066 * wide, 0.055 * wide)
        shin = (0.040 * wide + loose, 0.027 + 1.6 * loose)
        if person.shoes == "boots":
            shin = (shin[0], max(shin[1], 0.034))
        foot = plain(person.shoe_colour)
        painter.limb(heel + up, toe + up, (0.027, 0.021), foot, -10.01, shade)
        painter.limb(knee + up, ankle + up, shin, textures.leg(person, lower=True), -10, shade)
        painter.limb(hip + up, knee + up, thigh, textures.leg(person, lower=False), -9.9, shade)
    return lift


def _arms(painter: _Painter, lift: float) -> list[np.ndarray]:
    """Queue the arms; returns the positions of the hands, right then left."""
    person, pose = painter.person, painter.pose
    wide = person.stoutness**0.6 * (0.92 if person.woman else 1.0)
    covered = {"tank": (-1.0, -1.0), "tee": (0.72, -1.0)}.get(person.top, (2.0, 2.0))
    thick = {"coat": 0.008, "jacket": 0.005, "long": 0.002}.get(person.top, 0.0)
    hands = []
    for side in (-1, 1):
        swing = -0.8 * pose.swing * np.sin(pose.phase + (np.pi if side > 0 else 0))
        out = pose.spread * person.stoutness
        shoulder = np.array([side * 0.095 * wide, SHOULDER - 0.022 + lift, 0.0])
        elbow = shoulder + UPPER_ARM * np.array(
            [side * np.sin(out), -np.cos(swing) * np.cos(out), np.sin(swing)]
        )
        fore = swing + pose.elbow
        wrist = elbow + FOREARM * np.array([side * 0.04, -np.cos(fore), np.sin(fore)])
        hand = wrist + 0.022 * np.array([0, -np.cos(fore), np.sin(fore)])
        depth = painter.point(*((shoulder + elbow) / 2))[1]
        shade = 0.84 if depth < -0.03 else 1.0
        # beside the trunk the arm overlaps it; behind the trunk it is hidden
        order = 0.04
        radius = (0.032 * wide + thick, 0.028 * wide + thick)
        painter.limb(shoulder, elbow, radius, textures.sleeve(person, 0.8, 0.65, covered[0]), order, shade)
        radius = (0.028 * wide + thick, 0.021 + thick)
        lower = textures.sleeve(person, 0.65, 0.515, covered[1])
        painter.limb(elbow, wrist, radius, lower, order + 0.001, shade)
        painter.ball(hand, (0.018, 0.026, 0.022), plain(person.skin), order + 0.0005, shade=shade)
        hands.append(hand)
    return hands


def _trunk(painter: _Painter, lift: float) -> None:
    """Queue the clothes from the neck to the hem."""
    person = painter.person
    stout, woman = person.stoutness, person.woman
    broad, waist, hip = (0.089, 0.072, 0.098) if woman else (0.100, 0.085, 0.090)
    broad *= stout**0.5
    thick = {"coat": 0.012, "jacket": 0.006}.get(person.top, 0.0)
    upper = [
        (0.845, 0.034, 0.034),
        (0.828, 0.054, 0.042),
        (0.812, broad * 0.82, 0.052),
        (0.795, broad * 0.97 + thick, 0.058 * stout + thick),
        (0.76, broad + thick, 0.066 * stout + thick),
        (0.71, broad * 0.97 + thick, (0.074 if woman else 0.07) * stout + thick),
        (0.61, waist * stout + thick, 0.060 * stout**1.5 + thick),
    ]
    hips = [(0.54, hip * stout + thick, 0.072 * stout + thick)]
    hem = {"coat": 0.33, "jacket": 0.485}.get(person.top, 0.495)
    flare = 0.012 if person.top == "coat" else 0.0
    if person.bottom == "dress":
        hem, flare = 0.31, 0.03
    ends = [(hem, hip * stout * 0.99 + thick + flare, 0.074 * stout + thick + flare * 1.3)]
    lifted = [(y + lift, a, b) for y, a, b in upper + hips + ends]
    garment = textures.torso(person, hem)
    shifted = Texture(garment.palette, lambda azimuth, height: garment.index(azimuth, height - lift))
    painter.body(lifted, shifted, 0.0)
    low = {"skirt": 0.33, "shorts": 0.43}.get(person.bottom, 0.475)
    spread = 0.035 if person.bottom == "skirt" and person.top != "coat" else 0.0
    seat = [
        (0.60, waist * stout, 0.06 * stout**1.5),
        (0.54, hip * stout * 0.97, 0.07 * stout),
        (low, (hip * 0.97 + spread) * stout, (0.066 + spread) * stout),
    ]
    if person.bottom != "dress":
        lifted = [(y + lift, a, b) for y, a, b in seat]
        painter.body(lifted, textures.trunk_bottom(person), -0.5)


def _head(painter: _Painter, lift: float) -> None:
    """Queue neck, head, hair, headwear and scarf."""
    person, turn = painter.person, painter.pose.head
    hair = plain(person.hair * 0.92)
    y = HEAD + lift
    painter.limb(
        (0, 0.82 + lift, -0.008), (0, y - 0.04, 0.004), (0.032, 0.029), plain(person.skin * 0.88), -0.02
    )
    grown = person.hair_style not in ("bald", "crop")
    size = 1.09 if grown or person.headwear in ("beanie", "hood") else 1.0
    painter.ball((0, y, 0.006), (0.056 * size, 0.073 * size, 0.063 * size), textures.head(person), 0.06, turn)
    hooded = person.headwear == "hood"
    if person.hair_style in ("long", "bob") and not hooded:
        low = 0.70 if person.hair_style == "long" else 0.835
        sections = [(y + 0.03, 0.058, 0.04), (y - 0.03, 0.064, 0.045), (low + lift, 0.062, 0.032)]
        painter.body(sections, hair, 0.0, z=-0.03, shade=0.96)
    if person.hair_style == "ponytail" and not hooded:
        painter.limb((0, y + 0.03, -0.07), (0, y - 0.12, -0.092), (0.022, 0.014), hair, 0.0)
    if person.hair_style == "bun" and not hooded:
        painter.ball((0, y + 0.045, -0.062), (0.032, 0.032, 0.032), hair, 0.02)
    wear = plain(person.headwear_colour * 0.92)
    if person.headwear == "cap":
        painter.limb((0, y + 0.03, 0.05), (0, y + 0.022, 0.10), (0.030, 0.022), wear, 0.0)
    if hooded:
        painter.body([(y, 0.05, 0.05), (0.84 + lift, 0.075, 0.06), (0.81 + lift, 0.08, 0.06)], wear, 0.01)
    if person.scarf:
        scarf = plain(person.scarf_colour)
        painter.body(
            [(0.872 + lift, 0.045, 0.045), (0.845 + lift, 0.06, 0.058), (0.815 + lift, 0.066, 0.062)],
            scarf,
            0.03,
        )


def _bag(painter: _Painter, lift: float, hands: list[np.ndarray]) -> None:
    """Queue the bag; a hand bag hangs from a swinging hand."""
    person = painter.person
    side, texture = person.bag_side, textures.case(person.bag_colour)
    strap = plain(person.bag_colour * 0.8)
    hand = hands[0 if side < 0 else 1]
    if person.bag == "backpack":
        z = -0.062 * person.stoutness - 0.045
        sections = [
            (0.80, 0.045, 0.03),
            (0.785, 0.066, 0.042),
            (0.70, 0.078, 0.05),
            (0.58, 0.08, 0.052),
            (0.565, 0.07, 0.045),
        ]
        painter.body([(y + lift, a, b) for y, a, b in sections], texture, 0.0, z=z, unit=True)
    if person.bag == "shoulder":
        x = side * 0.118 * person.stoutness
        sections = [(0.575, 0.03, 0.07), (0.565, 0.036, 0.078), (0.46, 0.036, 0.078), (0.45, 0.03, 0.07)]
        painter.body([(y + lift, a, b) for y, a, b in sections], texture, 0.06, x=x, unit=True)
    if person.bag == "tote":
        x = side * 0.135 * person.stoutness
        painter.limb((x * 0.8, 0.80 + lift, 0.02), (x, 0.58 + lift, 0.0), (0.009, 0.009), strap, 0.075)
        sections = [(0.60, 0.03, 0.085), (0.45, 0.036, 0.092), (0.42, 0.034, 0.085)]
        painter.body([(y + lift, a, b) for y, a, b in sections], texture, 0.07, x=x, unit=True)
    if person.bag == "hand":
        x, y, z = hand
        painter.limb((x, y, z), (x, y - 0.05, z), (0.007, 0.007), strap, 0.05)
        sections = [
            (y - 0.035, 0.02, 0.06),
            (y - 0.05, 0.03, 0.075),
            (y - 0.14, 0.034, 0.082),
            (y - 0.15, 0.03, 0.075),
        ]
        painter.body(sections, texture, 0.055, x=x, z=z, unit=True)
