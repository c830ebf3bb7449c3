"""What this package says of itself."""

from importlib import metadata


def package_version() -> str:
    """Version of this package."""
    try:
        return metadata.version("mis-ground")
    except metadata.PackageNotFoundError:
        return "(source checkout)"
