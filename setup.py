"""The one thing that pyproject.toml cannot say: the packages in lib/ are installed as tandem."""

from setuptools import find_packages, setup

setup(package_dir={"tandem": "lib"}, packages=["tandem", *(f"tandem.{name}" for name in find_packages("lib"))])
