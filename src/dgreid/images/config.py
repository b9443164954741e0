"""The schema of the files in params/image."""

from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, field_validator

from dgreid.errors import UserError
from dgreid.images.operations import Operation, read
from dgreid.schema import Name, NoEffect, Strict

TRAIN = "train"  # the view that every image configuration has

Steps = tuple[SerializeAsAny[Operation], ...]


class ImageConfig(Strict):
    """Input size and training augmentation."""

    name: Annotated[Name, NoEffect] = Field(description="name of the file in params/image")
    height: int = Field(gt=0, le=2048, description="of a network's input, in pixels")
    width: int = Field(gt=0, le=2048, description="of a network's input, in pixels")
    train: Steps = Field(
        (), description="training augmentation: operations in order, such as {operation: flip}"
    )
    views: dict[str, Steps] = Field(
        {}, description="further augmentations of the same images, by name, for methods that compare views"
    )

    @field_validator("train", mode="before")
    @classmethod
    def _read_train(cls, nodes: Any) -> Any:
        return _steps(nodes, "image.train")

    @field_validator("views", mode="before")
    @classmethod
    def _read_views(cls, views: Any) -> Any:
        if not isinstance(views, dict):
            return views  # pydantic reports what is wrong
        if TRAIN in views:
            raise UserError(f"image.views.{TRAIN}: the view '{TRAIN}' is the list image.{TRAIN}; rename one.")
        return {name: _steps(nodes, f"image.views.{name}") for name, nodes in views.items()}

    def operations(self, view: str) -> Steps:
        """Return the operations of a view: those of `train` or of one of `views`."""
        return self.train if view == TRAIN else self.views[view]


def _steps(nodes: Any, where: str) -> Any:
    if not isinstance(nodes, list | tuple):
        return nodes  # pydantic reports what is wrong
    return tuple(read(node, f"{where}.{number}") for number, node in enumerate(nodes))
