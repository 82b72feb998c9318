"""Labels: every number that shapes a sample, drawn from the recipe for any range of samples.

A table is described by its scopes: sets of parameters that belong together, such as those of one object, of the PSF,
of a noise term, or the named variables. Drawing needs no other knowledge of what the parameters mean, so all kinds of
table share this package. A label depends on the recipe's seed, the name of its stream and the sample number alone.
"""
