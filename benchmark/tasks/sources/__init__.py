"""Data sets of images, a file for each, or for each family.

The files of a set lie under `data_folder()` (`--data` or $METAGAP_DATA) as their publishers, torchvision or learn2learn
lay them, packed or unpacked, and are only ever read: the folder may be read-only. What is common to all of them is in
`stored`, and in `pictures` for those that are image files; `archives` reads packed ones, and `download`
fetches.
"""

from benchmark.tasks.sources.digits import Digits
from benchmark.tasks.sources.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from benchmark.tasks.sources.omniglot import Omniglot
from benchmark.tasks.sources.path import UserImages

__all__ = ["EMNIST", "KMNIST", "MNIST", "Digits", "FashionMNIST", "Omniglot", "UserImages"]
