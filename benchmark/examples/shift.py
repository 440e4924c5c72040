"""A corruption of images: blots of ink."""

from metagap.tasks.corruptions import Corruption


def blots(images, level, draws):
    height, width = images.shape[-2:]
    centres = draws.uniform(3, 2)  # three on each image, with random numbers that belong to the image
    rows = images.new_tensor(range(height)).view(1, 1, -1, 1) / height - centres[:, :, :1, None]
    columns = images.new_tensor(range(width)).view(1, 1, 1, -1) / width - centres[:, :, 1:, None]
    inside = (rows.square() + columns.square() < level**2).any(1, keepdim=True)
    return images.masked_fill(inside, 1.0)


BLOTS = Corruption(
    name="blots",
    about="Puts three white blots on every image; the level is their radius, as a share of the side.",
    citation="none: an example",
    levels=(0.04, 0.08, 0.12, 0.16, 0.2),
    function=blots,
)


if __name__ == "__main__":
    from metagap.cli import app

    split = "splits.cluttered.shift"
    kind, severity = f"{split}.kind={__file__}:BLOTS", f"{split}.severity=3"
    app(["run", "quickstart", "--set", kind, "--set", severity, "-a", "maml", "-s", "0", "--iterations", "50"])
