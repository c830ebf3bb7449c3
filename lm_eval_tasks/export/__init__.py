"""The benchmark for other harnesses: lmms-eval, VLMEvalKit and Inspect.

Each asks the same questions, in the same words, about the same images in the same order as lm-evaluation-harness, and
reads the replies with the same reader. `benchmark` is what all share; a module a harness writes its files, which are in
the folder of the same name, as they can be proposed to that harness.
"""
