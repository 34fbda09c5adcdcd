"""Exports of several people as one static site: like compared with like, each number linked to its
recipe, its seeds and its versions."""
