"""Concordat keeps the systems of a professional-services firm in agreement, by contract."""

__version__ = "0.1.0"
