"""A data set: stripes of 60 directions and widths, to be told apart."""

import numpy as np
from metagap.tasks.image_store import Reading
from metagap.tasks.source import ImageSource
from pydantic import Field


class Stripes(ImageSource):
    """Striped squares: a class is a direction (12) and a width (5) of the stripes."""

    instances: int = Field(20, ge=1, description="images of each class")
    noise: float = Field(0.3, ge=0, description="standard deviation of the noise on every pixel; white is 1")

    licence = "made on the fly"
    citation = "none"

    def stamp(self):
        return None  # nothing is read from files: the options say everything

    def read(self):
        random = np.random.default_rng(0)
        y, x = np.mgrid[0:1:28j, 0:1:28j]
        images, names = [], []
        for width in range(2, 7):
            for angle in np.arange(0, np.pi, np.pi / 12):
                names.append(f"{width} stripes at {np.degrees(angle):.0f} degrees")
                along = x * np.cos(angle) + y * np.sin(angle)
                for phase in random.uniform(0, 2 * np.pi, self.instances):
                    image = np.sin(2 * np.pi * width * along + phase) / 2 + 0.5
                    image = image + self.noise * random.standard_normal(image.shape)
                    images.append((255 * image.clip(0, 1)).astype(np.uint8))
        labels = np.repeat(np.arange(len(names)), self.instances)
        return Reading(np.stack(images), labels, names)

    def parts(self, store):
        """Every third class is for the test: its direction and its width occur in training, but not together."""
        classes = range(store.class_count)
        return {
            "train": [c for c in classes if c % 3 == 0],
            "val": [c for c in classes if c % 3 == 1],
            "test": [c for c in classes if c % 3 == 2],
        }


if __name__ == "__main__":
    from metagap.cli import app

    source = f'source={{ name = "{__file__}:Stripes", image_size = 20, held_out_images = 6 }}'
    app(["run", "quickstart", "--set", source, "-a", "maml", "-s", "0", "--iterations", "50"])
