"""Data sets of image files: each in its publisher's layout, packed and not, whole and in part."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from scipy.io import savemat

from layouts import by_class, encoded, picture, pixels, write_folder, write_tar, write_zip
from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources import (
    COCO,
    CUB,
    DTD,
    GTSRB,
    ISIC,
    Aircraft,
    ChestX,
    CropDisease,
    EuroSAT,
    Flowers,
    Fungi,
)
from metagap.tasks.sources.stored import pinned


def classes(split: str) -> list[str]:
    """All class names of a pinned split, sorted."""
    return sorted(name for part in pinned(split).values() for name in part)


def holds(source, files: dict[str, bytes], names: list[str], label=lambda file: file.split("/")[-2]) -> None:
    """The store has exactly these pictures, class by class and by name."""
    store = source.tasks(Part(), "cpu")
    assert store.names == tuple(names)
    for name, start, size in zip(store.names, store.start.tolist(), store.size.tolist(), strict=True):
        expected = [pixels(data) for file, data in sorted(files.items()) if label(file) == name]
        assert np.array_equal(store.images[start : start + size].numpy(), np.stack(expected)), name


BY_CLASS = [
    (CUB, "cub", "CUB_200_2011/images/{name}/{i}.jpg", "cubirds200/CUB_200_2011.tgz", "cubirds200"),
    (DTD, "dtd", "dtd/images/{name}/{name}_{i}.jpg", "dtd/dtd-r1.0.1.tar.gz", "dtd"),
    (EuroSAT, ["AnnualCrop", "Forest", "SeaLake"], "2750/{name}/{name}_{i}.jpg", "eurosat/EuroSAT.zip", "eurosat"),
    (GTSRB, ["00000", "00001", "00042"], "GTSRB/Training/{name}/{i:05}.ppm", "gtsrb/GTSRB-Training_fixed.zip", "gtsrb"),
    (CropDisease, ["Apple___healthy", "Corn___rust"], "dataset/train/{name}/{i}.JPG", "cropdisease.zip", "cropdisease"),
]


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize("layout", BY_CLASS, ids=lambda layout: layout[0].__name__)
def test_folders_by_class(data, layout, packed):
    source, names, pattern, archive, folder = layout
    names = classes(names) if isinstance(names, str) else names
    files = by_class(names, pattern=pattern, kind="PPM" if "ppm" in pattern else "JPEG")
    others = {"README.txt": b"no image", "__MACOSX/2750/Forest/._a.jpg": b"", "dtd/images/banded/.directory": b""}
    if packed:
        (write_zip if archive.endswith("zip") else write_tar)(data / archive, files | others)
    else:
        write_folder(data / folder, files | others)
    chosen = source(image_size=8)
    holds(chosen, files, sorted(names))
    parts = {part: chosen.tasks(Part(part), "cpu").class_count for part in chosen.pinned()}
    assert list(parts.values()) == {CUB: [100, 50, 50], DTD: [33, 7, 7]}.get(source, [])
    if source.complete or source.per_class:
        assert "is a part: " in chosen.remark()


def test_test_images_of_crops_do_not_count(data):
    files = by_class(["a", "b"], pattern="dataset/train/{name}/{i}.jpg")
    write_zip(data / "cropdisease.zip", files | by_class(["a", "b"], each=5, pattern="dataset/test/{name}/{i}.jpg"))
    assert CropDisease(image_size=8).tasks(Part(), "cpu").size.tolist() == [2, 2]


def test_flowers_are_labelled_by_their_table(data):
    names, labels = classes("flowers"), np.repeat(np.arange(102), 2)[::-1] + 1
    files = {f"jpg/image_{i:05}.jpg": picture(i, kind="JPEG") for i in range(1, 205)}
    table = io.BytesIO()
    savemat(table, {"labels": labels[None].astype(np.uint8)})
    write_folder(data, {"flowers-102/imagelabels.mat": table.getvalue()})
    write_tar(data / "flowers-102" / "102flowers.tgz", files)
    source = Flowers(image_size=8)
    holds(source, files, names, lambda file: names[labels[int(file[-9:-4]) - 1] - 1])
    assert [source.tasks(Part(part), "cpu").class_count for part in ("train", "val", "test")] == [71, 15, 16]
    assert source.remark() == "Flowers here is a part: 204 of 8,189 images"
    (data / "flowers-102" / "imagelabels.mat").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"Flowers: '.*imagelabels\.mat' is damaged"):
        source.store()


def aircraft_files(names: list[str]) -> dict[str, bytes]:
    """Two photographs of each variant, with a border that is not in the box."""
    files, root = {}, "fgvc-aircraft-2013b/data"
    variants, boxes = {"train": "", "val": "", "test": ""}, ""
    for i in range(2 * len(names)):
        files[f"{root}/images/{i:07}.jpg"] = picture(i, 12)
        variants[("train", "val", "test")[i % 3]] += f"{i:07} {names[i // 2]}\n"
        boxes += f"{i:07} 2 1 10 9\n"
    files[f"{root}/images_box.txt"] = boxes.encode()
    return files | {f"{root}/images_variant_{half}.txt": text.encode() for half, text in variants.items()}


def test_aircraft_are_cropped_to_their_boxes(data):
    names = classes("aircraft")
    files = aircraft_files(names)
    write_tar(data / "fgvc-aircraft-2013b.tar.gz", files)
    photographs = {name: content for name, content in files.items() if name.endswith(".jpg")}
    holds(Aircraft(image_size=12, crop=False), photographs, names, lambda file: names[int(file[-11:-4]) // 2])
    store = Aircraft(image_size=8).tasks(Part(), "cpu")
    first = pixels(photographs["fgvc-aircraft-2013b/data/images/0000000.jpg"])
    assert np.array_equal(store.images[0].numpy(), first[:, 1:9, 2:10])
    assert Aircraft().remark() == "Aircraft here is a part: 2 of 100 images a class"


def test_an_aeroplane_without_a_box_is_named(data):
    files = aircraft_files(classes("aircraft"))
    files["fgvc-aircraft-2013b/data/images_box.txt"] = b"0000000 2 1 10 9\n"
    write_folder(data, files)
    with pytest.raises(UserError, match=r"Aircraft: 'data/images/0000001\.jpg' has no variant or no box"):
        Aircraft().store()


def test_isic_is_labelled_by_its_table(data):
    kinds = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    files = {f"ISIC2018_Task3_Training_Input/ISIC_{i:07}.jpg": picture(i, kind="JPEG") for i in range(14)}
    rows = [f"ISIC_{i:07}," + ",".join("1.0" if k == i % 7 else "0.0" for k in range(7)) for i in range(14)]
    table = "\n".join(["image," + ",".join(kinds), *rows]).encode()
    truth = "ISIC2018_Task3_Training_GroundTruth"
    write_zip(data / "isic" / "ISIC2018_Task3_Training_Input.zip", files)
    write_zip(data / "isic" / f"{truth}.zip", {f"{truth}/{truth}.csv": table})
    holds(ISIC(image_size=8), files, sorted(kinds), lambda file: kinds[int(file[-11:-4]) % 7])
    write_zip(data / "isic" / f"{truth}.zip", {f"{truth}/{truth}.csv": table.replace(b"ISIC_0000003", b"ISIC_9")})
    with pytest.raises(UserError, match=r"ISIC: '.*ISIC_0000003\.jpg' has no class in"):
        ISIC().store()


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
def test_chestx_has_radiographs_of_one_finding(data, packed):
    findings = ["Mass", "Nodule", "Mass|Nodule", "No Finding", "Pneumonia", "Mass"]
    files = {
        f"images_{1 + i % 2:03}/images/{i:08}_000.png": encoded(np.full((8, 8), 9 * i, np.uint8)) for i in range(6)
    }
    rows = ["Image Index,Finding Labels,Follow-up #", *(f"{i:08}_000.png,{f},0" for i, f in enumerate(findings))]
    everything = files | {"Data_Entry_2017.csv": "\n".join(rows).encode()}
    if packed:
        write_zip(data / "chestx" / "archive.zip", everything)
    else:
        write_folder(data / "chestx", everything)
    store = ChestX(image_size=8, channels=1).tasks(Part(), "cpu")
    assert store.names == ("Mass", "Nodule")
    assert store.images[:, 0, 0, 0].tolist() == [0, 45, 9]


def fungi_files(names: list[str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The images and the two tables."""
    photographs, tables = {}, {}
    for half, first in (("train", 0), ("val", 1)):
        images, annotations = [], []
        for c, name in enumerate(names):
            number, file = int(name[:4]), f"images/{name.replace(' ', '_')}/{c}_{half}.JPG"
            photographs[file] = picture(2 * c + first, kind="JPEG")
            images.append({"id": c, "file_name": file})
            annotations.append({"image_id": c, "category_id": number})
        tables[f"{half}.json"] = json.dumps({"images": images, "annotations": annotations}).encode()
    return photographs, tables


def test_fungi_are_labelled_by_their_tables(data):
    names = classes("fungi")
    photographs, tables = fungi_files(names)
    photographs["images/unknown/nobody.JPG"] = picture(0)
    write_tar(data / "fgvc_fungi" / "fungi_train_val.tgz", photographs)
    write_tar(data / "fgvc_fungi" / "train_val_annotations.tgz", tables)
    source = Fungi(image_size=8)
    store = source.tasks(Part("test"), "cpu")
    assert store.class_count == 200
    assert store.size.unique().tolist() == [2]
    name = store.names[7]
    stem = f"images/{name.replace(' ', '_')}/{names.index(name)}"
    expected = [pixels(photographs[f"{stem}_{half}.JPG"]) for half in ("train", "val")]
    assert np.array_equal(store.images[store.start[7] : store.start[7] + 2].numpy(), np.stack(expected))
    write_tar(data / "fgvc_fungi" / "train_val_annotations.tgz", {**tables, "val.json": b"{}"})
    with pytest.raises(UserError, match=r"'val\.json' of '.*annotations\.tgz' is damaged"):
        source.store()


def test_coco_is_cut_into_things(data):
    photographs = {f"val2017/{i:012}.jpg": picture(i, 50, height=40) for i in range(2)}
    table = {
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "images": [{"id": i, "file_name": f"{i:012}.jpg", "width": 50, "height": 40} for i in range(2)],
        "annotations": [
            {"image_id": 0, "category_id": 3, "iscrowd": 0, "bbox": [5.0, 10.0, 20.0, 20.0]},
            {"image_id": 0, "category_id": 7, "iscrowd": 0, "bbox": [25.0, 0.0, 20.0, 30.0]},
            {"image_id": 1, "category_id": 3, "iscrowd": 0, "bbox": [30.0, 20.0, 20.0, 20.0]},
            {"image_id": 1, "category_id": 3, "iscrowd": 1, "bbox": [0.0, 0.0, 20.0, 20.0]},
            {"image_id": 1, "category_id": 7, "iscrowd": 0, "bbox": [0.0, 0.0, 19.0, 30.0]},
        ],
    }
    write_zip(data / "coco" / "val2017.zip", photographs)
    file = "annotations/instances_val2017.json"
    write_zip(data / "coco" / "annotations_trainval2017.zip", {file: json.dumps(table).encode()})
    store = COCO(image_size=24, smallest=20).tasks(Part(), "cpu")
    assert store.names == ("cat", "dog")
    assert store.size.tolist() == [2, 1]
    first = pixels(photographs["val2017/000000000000.jpg"])
    assert np.array_equal(store.images[0].numpy(), first[:, 8:32, 3:27])  # larger by a fifth on the whole
    table["annotations"][0]["image_id"] = 9
    write_zip(data / "coco" / "annotations_trainval2017.zip", {file: json.dumps(table).encode()})
    with pytest.raises(UserError, match="is damaged, or not of these photographs"):
        COCO().store()


def test_a_missing_class_is_named(data):
    names = [name for name in classes("dtd") if name not in ("banded", "woven")]
    write_folder(data / "dtd", by_class(names, 1, "dtd/images/{name}/{i}.jpg"))
    with pytest.raises(UserError, match=r"DTD: 2 of 47 classes are missing in '.*dtd/images': 'banded', 'woven'$"):
        DTD().store()


def test_a_damaged_image_is_named_and_leaves_no_store(data, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = by_class(["a", "b"], 3, "2750/{name}/{i}.jpg")
    write_zip(data / "eurosat" / "EuroSAT.zip", files | {"2750/b/1.jpg": files["2750/b/1.jpg"][:50]})
    with pytest.raises(UserError, match=r"EuroSAT: '2750/b/1\.jpg' in '.*EuroSAT\.zip' is not a readable image"):
        EuroSAT().store()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    write_zip(data / "eurosat" / "EuroSAT.zip", files)
    assert EuroSAT().tasks(Part(), "cpu").class_count == 2


def test_what_has_to_be_fetched_by_hand_says_how(data):
    with pytest.raises(UserError, match=r"ChestX: no file '.*'; fetch https://.* and lay the zip.*chestx"):
        ChestX().store()
    with pytest.raises(UserError, match=r"CropDisease: fetch https://.*lay the zip"):
        CropDisease().download(data)


def test_packed_or_not_the_images_are_in_the_same_order(data):
    files = by_class(["b", "a", "c"], 5, "2750/{name}/{i}.png")
    write_folder(data / "eurosat", files)
    unpacked = EuroSAT(image_size=8).tasks(Part(), "cpu").images
    write_zip(data / "eurosat" / "EuroSAT.zip", dict(reversed(files.items())))
    assert torch.equal(EuroSAT(image_size=8).tasks(Part(), "cpu").images, unpacked)
