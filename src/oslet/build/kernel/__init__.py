"""Kernel as a library: options derived from an image, a configuration that is held to them, and the build of it."""
