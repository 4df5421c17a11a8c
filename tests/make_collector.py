"""Tariffs and times for the tests of the collector and of rates."""

from datetime import timedelta

HOUR = timedelta(hours=1)
DAY = tuple(0.20 + 0.001 * k for k in range(96))
