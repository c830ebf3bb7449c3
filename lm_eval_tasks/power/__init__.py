"""How many volumes and questions are enough: what intervals and tests to expect of a data set.

``counts`` reads what a data set asks, ``forecast`` works out what that can show, with the clustering of evaluated runs
or an assumed one; ``page`` and ``terminal`` show it. The formulas are those of :mod:`cluster_statistics.planning`.
"""
