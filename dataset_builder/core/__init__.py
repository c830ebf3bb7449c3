"""What all other rooms share: errors, the factors of the benchmark, settings of a build, presets, hashing, version.

Imports nothing else of this package.
"""
