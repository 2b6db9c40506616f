"""Which graph an estimator becomes, one module a kind."""
