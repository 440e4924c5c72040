"""How fast the engine is here, and compared with other libraries: what `metagap speed` runs."""
