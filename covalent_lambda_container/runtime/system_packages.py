"""Finds the package of the image's Linux distribution with a missing shared library."""

from __future__ import annotations

import re

_MISSING = re.compile(r"(lib[\w+.-]+?\.so[\d.]*): cannot open shared object file")
OS_RELEASE = "/etc/os-release"

# Beginning of the library's name: package of Debian and Ubuntu, package of Amazon Linux and Fedora.
_PACKAGES = {
    "libGL.so": ("libgl1", "mesa-libGL"),
    "libGLU.so": ("libglu1-mesa", "mesa-libGLU"),
    "libEGL.so": ("libegl1", "mesa-libEGL"),
    "libOpenGL.so": ("libopengl0", "libglvnd-opengl"),
    "libgomp.so": ("libgomp1", "libgomp"),
    "libgfortran.so": ("libgfortran5", "libgfortran"),
    "libquadmath.so": ("libquadmath0", "libquadmath"),
    "libstdc++.so": ("libstdc++6", "libstdc++"),
    "libatomic.so": ("libatomic1", "libatomic"),
    "libglib-2.0.so": ("libglib2.0-0", "glib2"),
    "libgthread-2.0.so": ("libglib2.0-0", "glib2"),
    "libgobject-2.0.so": ("libglib2.0-0", "glib2"),
    "libSM.so": ("libsm6", "libSM"),
    "libICE.so": ("libice6", "libICE"),
    "libX11.so": ("libx11-6", "libX11"),
    "libXext.so": ("libxext6", "libXext"),
    "libXrender.so": ("libxrender1", "libXrender"),
    "libXi.so": ("libxi6", "libXi"),
    "libXtst.so": ("libxtst6", "libXtst"),
    "libxcb.so": ("libxcb1", "libxcb"),
    "libfontconfig.so": ("libfontconfig1", "fontconfig"),
    "libfreetype.so": ("libfreetype6", "freetype"),
    "libcairo.so": ("libcairo2", "cairo"),
    "libpango-1.0.so": ("libpango-1.0-0", "pango"),
    "libpangocairo-1.0.so": ("libpangocairo-1.0-0", "pango"),
    "libgdk_pixbuf-2.0.so": ("libgdk-pixbuf-2.0-0", "gdk-pixbuf2"),
    "libpq.so": ("libpq5", "libpq"),
    "libodbc.so": ("unixodbc", "unixODBC"),
    "libmariadb.so": ("libmariadb3", "mariadb-connector-c"),
    "libsndfile.so": ("libsndfile1", "libsndfile"),
    "libportaudio.so": ("libportaudio2", "portaudio"),
    "libmagic.so": ("libmagic1", "file-libs"),
    "libxml2.so": ("libxml2", "libxml2"),
    "libxslt.so": ("libxslt1.1", "libxslt"),
    "libffi.so": ("libffi8", "libffi"),
    "libexpat.so": ("libexpat1", "expat"),
    "libcurl.so": ("libcurl4", "libcurl"),
    "libnss3.so": ("libnss3", "nss"),
    "libopenblas.so": ("libopenblas0", "openblas"),
    "libzbar.so": ("libzbar0", "zbar"),
    "libusb-1.0.so": ("libusb-1.0-0", "libusb1"),
}


def advice(message: str, os_release: str = OS_RELEASE) -> str:
    """Return how to add a library to the image that is missing according to an error.

    Parameters
    ----------
    message
        Text of an ImportError or OSError. Without such a library, there is no advice.
    os_release
        File that describes the image's Linux distribution.
    """
    match = _MISSING.search(message)
    if match is None:
        return ""
    library = match[1]
    if library.startswith(("libcuda.so", "libnvidia")):
        return f"{library} belongs to the driver of a GPU, and Lambda has none: use the CPU."
    debian, fedora = next(
        (names for start, names in _PACKAGES.items() if library.startswith(start)), ("", "")
    )
    system = _system(os_release)
    if "debian" in system or "ubuntu" in system:
        package, install = debian, "apt-get update && apt-get install -y --no-install-recommends"
        search = f"apt-file search {library}"
    elif system:
        tool = "yum" if system == ["amzn", "2"] else "dnf"
        package, install, search = fedora, f"{tool} install -y", f"{tool} provides '*/{library}'"
    else:
        return f"{library} is not in the image: choose a base_image that has it."
    if not package:
        return (
            f"{library} is not in the image: find its package by '{search}', and install it with "
            f"ct.DepsBash(['{install} PACKAGE'])."
        )
    return (
        f"{library} is not in the image: install it while the image is built, with "
        f"ct.DepsBash(['{install} {package}'])."
    )


def _system(os_release: str) -> list[str]:
    """Return the IDs of the Linux distribution and related ones; for Amazon Linux, the version."""
    try:
        with open(os_release, encoding="utf-8") as file:
            pairs = [line.strip().partition("=")[::2] for line in file if "=" in line]
    except OSError:
        return []
    values = {name: value.strip("\"'") for name, value in pairs}
    if values.get("ID") == "amzn":
        return ["amzn", values.get("VERSION_ID", "")]
    return [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
