"""A rectangle of the original image, tracked through resizing and cropping."""

from __future__ import annotations

from dataclasses import dataclass

from whyclip.types import Box


@dataclass(frozen=True)
class Canvas:
    """An image of ``width`` x ``height`` pixels that shows ``box`` of the original image."""

    width: int
    height: int
    box: Box

    @classmethod
    def of(cls, width: int, height: int) -> Canvas:
        """Start from the original image."""
        return cls(width, height, Box(0.0, 0.0, float(width), float(height)))

    def resize(self, width: int, height: int) -> Canvas:
        """Change the number of pixels; the rectangle stays the same."""
        return Canvas(width, height, self.box)

    def crop(self, left: int, top: int, width: int, height: int) -> Canvas:
        """Crop the canvas to a window; parts of the window outside the canvas are padding."""
        x = (self.box.right - self.box.left) / self.width
        y = (self.box.bottom - self.box.top) / self.height
        box = Box(
            self.box.left + left * x,
            self.box.top + top * y,
            self.box.left + (left + width) * x,
            self.box.top + (top + height) * y,
        )
        return Canvas(width, height, box)

    def whole_patches(self, patch: int) -> Canvas:
        """Drop the last rows and columns that do not fill a patch, as the model does."""
        return self.crop(0, 0, self.width // patch * patch, self.height // patch * patch)
