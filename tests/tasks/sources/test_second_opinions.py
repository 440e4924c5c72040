"""The same files read by torchvision's and by learn2learn's own readers give the same images."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torchvision.datasets
from scipy.io import savemat
from test_imagenet import write_mini, write_tiered
from test_pictures import aircraft_files, classes, fungi_files

from layouts import by_class, picture, write_folder
from metagap.tasks.source import Part
from metagap.tasks.sources import (
    CIFARFS,
    CUB,
    DTD,
    GTSRB,
    Aircraft,
    EuroSAT,
    Flowers,
    Fungi,
    MiniImageNet,
    QuickDraw,
    TieredImageNet,
)
from metagap.tasks.sources.stored import pinned


def by_label(dataset) -> list[set[bytes]]:
    """The images of every class of somebody else's data set, in no order."""
    found: dict[int, set[bytes]] = {}
    for image, label in map(dataset.__getitem__, range(len(dataset))):
        array = np.asarray(image.convert("RGB") if hasattr(image, "convert") else image, np.uint8)
        found.setdefault(int(label), set()).add(array.tobytes())
    return list(found.values())


def ours(source, part: str = "all") -> list[set[bytes]]:
    """The same of ours."""
    store = source.tasks(Part(part), "cpu")
    shown = store.images.permute(0, 2, 3, 1).contiguous().numpy()
    return [
        {image.tobytes() for image in shown[start : start + size]}
        for start, size in zip(store.start.tolist(), store.size.tolist(), strict=True)
    ]


def agree(a: list[set[bytes]], b: list[set[bytes]]) -> None:
    assert sorted(map(sorted, a)) == sorted(map(sorted, b))


def test_torchvision_reads_the_same(data):
    write_folder(data / "eurosat", by_class(["Forest", "River"], 3, "2750/{name}/{i}.jpg", "JPEG"))
    agree(ours(EuroSAT(image_size=8)), by_label(torchvision.datasets.EuroSAT(str(data))))
    write_folder(data / "gtsrb", by_class(["00000", "00042"], 3, "GTSRB/Training/{name}/{i}.ppm", "PPM"))
    agree(ours(GTSRB(image_size=8)), by_label(torchvision.datasets.GTSRB(str(data))))
    names = classes("aircraft")
    write_folder(data, aircraft_files(names) | {"fgvc-aircraft-2013b/data/variants.txt": "\n".join(names).encode()})
    halves = [torchvision.datasets.FGVCAircraft(str(data), split) for split in ("train", "val", "test")]
    found: dict[int, set[bytes]] = {}
    for half in halves:
        for image, label in half:
            found.setdefault(label, set()).add(np.asarray(image).tobytes())
    agree(ours(Aircraft(image_size=12, crop=False)), list(found.values()))


@pytest.mark.slow
def test_learn2learn_reads_the_same_in_the_same_parts(data):
    theirs = pytest.importorskip("learn2learn.vision.datasets")
    parts = {"train": "train", "val": "validation", "test": "test"}

    def parts_agree(source, dataset, **options) -> None:
        for part, mode in parts.items():
            agree(ours(source, part), by_label(dataset(str(data), mode=mode, **options)))

    write_folder(data / "describable_textures", by_class(classes("dtd"), pattern="dtd/images/{name}/{i}.jpg"))
    parts_agree(DTD(image_size=8), theirs.DescribableTextures)
    photographs, tables = fungi_files(classes("fungi"))
    write_folder(data / "fgvc_fungi", photographs | tables)
    parts_agree(Fungi(image_size=8), theirs.FGVCFungi)
    labels = io.BytesIO()
    savemat(labels, {"labels": (np.arange(204)[None] % 102 + 1).astype(np.uint8)})
    images = {f"jpg/image_{i:05}.jpg": picture(i) for i in range(1, 205)}
    write_folder(data / "vgg_flower102", images | {"imagelabels.mat": labels.getvalue()})
    parts_agree(Flowers(image_size=8), theirs.VGGFlower102)
    (data / "quickdraw").mkdir()
    for i, name in enumerate(classes("quickdraw")):
        np.save(data / "quickdraw" / f"{name}.npy", np.random.default_rng(i).integers(0, 256, (2, 784), dtype=np.uint8))
    parts_agree(QuickDraw(), theirs.Quickdraw)
    names = sorted(name for part in pinned("cifar_fs").values() for name in part)
    splits = {
        f"cifarfs/cifar100/splits/bertinetto/{part}.txt": "\n".join(wanted).encode()
        for part, wanted in pinned("cifar_fs").items()
    }
    write_folder(data, by_class(names, pattern="cifarfs/cifar100/data/{name}/{i}.png", size=32) | splits)
    parts_agree(CIFARFS(), theirs.CIFARFS)
    parts_agree(CIFARFS(), theirs.CIFARFS)  # which has laid copies into the folder
    write_folder(data / "cubirds200", by_class(classes("cub"), pattern="CUB_200_2011/images/{name}/{i}.jpg"))
    agree(ours(CUB(image_size=8)), by_label(theirs.CUBirds200(str(data), mode="all")))  # its split is another one
    write_tiered(data / "tiered-imagenet", size=6)
    parts_agree(TieredImageNet(image_size=6), theirs.TieredImagenet)
    write_mini(data, size=6)
    for part, mode in parts.items():
        dataset = theirs.MiniImagenet(str(data), mode=mode, transform=lambda image: image.permute(1, 2, 0))
        agree(ours(MiniImageNet(image_size=6), part), by_label(dataset))
