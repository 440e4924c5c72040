"""Data sets of images, a file for each, or for each family.

The files of a set lie under `data_folder()` (`--data` or $METAGAP_DATA) as their publishers, torchvision or learn2learn
lay them, packed or unpacked, and are only ever read: the folder may be read-only. What is common to all of them is in
`stored`, and in `pictures` for those that are image files; `archives` reads packed ones, `pickles` what some publishers
pickled, and `download` fetches.
"""

from benchmark.tasks.sources.aircraft import Aircraft
from benchmark.tasks.sources.chestx import ChestX
from benchmark.tasks.sources.cifar import CIFARFS, FC100
from benchmark.tasks.sources.coco import COCO
from benchmark.tasks.sources.cropdisease import CropDisease
from benchmark.tasks.sources.cub import CUB
from benchmark.tasks.sources.digits import Digits
from benchmark.tasks.sources.dtd import DTD
from benchmark.tasks.sources.eurosat import EuroSAT
from benchmark.tasks.sources.flowers import Flowers
from benchmark.tasks.sources.fungi import Fungi
from benchmark.tasks.sources.gtsrb import GTSRB
from benchmark.tasks.sources.imagenet import MiniImageNet, TieredImageNet
from benchmark.tasks.sources.isic import ISIC
from benchmark.tasks.sources.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from benchmark.tasks.sources.omniglot import Omniglot
from benchmark.tasks.sources.path import UserImages
from benchmark.tasks.sources.quickdraw import QuickDraw

__all__ = [
    "CIFARFS", "COCO", "CUB", "DTD", "EMNIST", "FC100", "GTSRB", "ISIC", "KMNIST", "MNIST", "Aircraft", "ChestX",
    "CropDisease", "Digits", "EuroSAT", "FashionMNIST", "Flowers", "Fungi", "MiniImageNet", "Omniglot", "QuickDraw",
    "TieredImageNet", "UserImages",
]  # fmt: skip
