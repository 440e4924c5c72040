"""One cell from start to end: `context` makes what it consists of, `train` and `score` use it, `cell` runs them."""
