"""Images that other tools made, as what they consist of: packages, Python distributions, and the image's own files."""
