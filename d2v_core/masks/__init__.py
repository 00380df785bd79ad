"""Which positions the student does not see: patches, spans, tokens, inverse blocks.

A new mask is a sampler here that draws from the generator it is given.
"""
