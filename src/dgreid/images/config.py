"""The schema of params/image."""

from pydantic import Field

from dgreid.schema import Strict


class ImageConfig(Strict):
    """Input size and training augmentation."""

    name: str
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    padding: int = Field(10, ge=0, description="zero padding before the random crop, pixels")
    color_jitter: tuple[float, float, float, float] | None = Field(
        None, description="brightness, contrast, saturation, hue"
    )
    occlusion: float = Field(
        0, ge=0, le=1, description="a white square's greatest side, relative to the image's shorter one"
    )
