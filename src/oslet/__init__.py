"""oslet: the OS as a library."""
