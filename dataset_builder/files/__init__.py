"""Files on disk and in object storage: atomic writing, hashes, long lists on disk, what the Hub can answer.

May import ``core``.
"""
