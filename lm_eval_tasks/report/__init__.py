"""From the harness's result and sample files to numbers, tables and pages.

``runs`` reads the files, ``items`` says what is asked, ``statistics`` has the intervals and tests, ``scores``,
``effects``, ``comparisons`` and ``confusions`` make the numbers of them, ``contents`` puts these together
(``schema.json`` describes it), and ``tables``, ``page``, ``card`` and ``leaderboard`` show it.
"""
