"""Virtual machines: what a guest is given, as the command line or the API calls of one monitor each."""
