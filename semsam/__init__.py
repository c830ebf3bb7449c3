"""MIS-SemSam: decoding by the probability of a token's neighbourhood in the model's own embedding."""
