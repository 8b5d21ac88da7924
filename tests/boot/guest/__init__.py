"""Guest artefacts made from Debian packages at test time and kept outside the tree."""
