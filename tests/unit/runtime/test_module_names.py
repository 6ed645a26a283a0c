"""Modules that were meant by names that an image does not have."""

from __future__ import annotations

import pytest

from covalent_lambda_container.runtime.module_names import advice

MODULES = {
    "matplotlib": ["matplotlib==3.9.2"],
    "pylab": ["matplotlib==3.9.2"],
    "mpl_toolkits": ["matplotlib==3.9.2"],
    "cv2": ["opencv-python-headless==4.10"],
    "sklearn": ["scikit-learn==1.7.2"],
    "dateutil": ["python-dateutil==2.9"],
    "PIL": ["pillow==11.0"],
    "bs4": ["beautifulsoup4==4.12"],
    "_distutils_hack": ["setuptools==80"],
    "google": ["google-auth==2", "google-cloud-storage==2"],
}


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("MatPlotLib", "The image has the module matplotlib: upper and lower case matter"),
        ("Matplotlib.pyplot", "The image has the module matplotlib: upper and lower"),
        ("pil", "The image has the module PIL: upper"),
        ("opencv", "The image has opencv-python-headless==4.10, from which you import cv2."),
        ("scikit_learn", "The image has scikit-learn==1.7.2, from which you import sklearn."),
        ("python_dateutil", "The image has python-dateutil==2.9, from which you import dateutil."),
        ("pillow", "The image has pillow==11.0, from which you import PIL."),
        ("beautifulsoup4", "from which you import bs4."),
        ("mathplotlib", "The image has a module matplotlib: is the name misspelt?"),
    ],
)
def test_what_was_meant_is_named(missing: str, said: str) -> None:
    assert said in advice(missing, MODULES)


@pytest.mark.parametrize("missing", ["pandas", "numpy.linalg", "distutils", ""])
def test_what_is_another_module_is_not_answered(missing: str) -> None:
    assert advice(missing, MODULES) == ""
