"""How fast the engine is here, and beside other libraries: what `metagap speed` runs."""
