"""Data sets of images, a file for each, or for each family.

The files of a set lie under `data_folder()` (`--data` or $METAGAP_DATA) as their publishers, torchvision or learn2learn
lay them, packed or unpacked, and are only ever read: the folder may be read-only. What is common to all of them is in
`stored`, and in `pictures` for those that are image files; `archives` reads packed ones, `pickles` what some publishers
pickled, and `download` fetches.
"""

from metagap.tasks.sources.aircraft import Aircraft
from metagap.tasks.sources.chestx import ChestX
from metagap.tasks.sources.cifar import CIFARFS, FC100
from metagap.tasks.sources.coco import COCO
from metagap.tasks.sources.cropdisease import CropDisease
from metagap.tasks.sources.cub import CUB
from metagap.tasks.sources.digits import Digits
from metagap.tasks.sources.dtd import DTD
from metagap.tasks.sources.eurosat import EuroSAT
from metagap.tasks.sources.flowers import Flowers
from metagap.tasks.sources.fungi import Fungi
from metagap.tasks.sources.gtsrb import GTSRB
from metagap.tasks.sources.imagenet import MiniImageNet, TieredImageNet
from metagap.tasks.sources.isic import ISIC
from metagap.tasks.sources.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from metagap.tasks.sources.omniglot import Omniglot
from metagap.tasks.sources.path import UserImages
from metagap.tasks.sources.quickdraw import QuickDraw

__all__ = [
    "CIFARFS", "COCO", "CUB", "DTD", "EMNIST", "FC100", "GTSRB", "ISIC", "KMNIST", "MNIST", "Aircraft", "ChestX",
    "CropDisease", "Digits", "EuroSAT", "FashionMNIST", "Flowers", "Fungi", "MiniImageNet", "Omniglot", "QuickDraw",
    "TieredImageNet", "UserImages",
]  # fmt: skip
