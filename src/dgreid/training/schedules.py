"""Keep the former import path of `dgreid.methods.schedules` working."""

from dgreid.methods.schedules import triangular, warmed_steps

__all__ = ["triangular", "warmed_steps"]
