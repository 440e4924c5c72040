"""The engine: turns functions of one task into fast steps over many tasks."""
