"""The schedules of `dgreid.methods.schedules`, under the name they had first."""

from dgreid.methods.schedules import triangular, warmed_steps

__all__ = ["triangular", "warmed_steps"]
