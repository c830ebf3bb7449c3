"""A study: the same questions answered by models under several ways to decode, as planned beforehand."""
