"""Images as a parser describes them."""

from dgreid.datasets.records import Image


def image(path, person, camera=0, kind="person", role="none", **more):
    return Image(
        path, person if kind == "person" else None, person or "0000", kind, role=role, camera=camera, **more
    )
