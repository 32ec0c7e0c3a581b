"""Heads and chests with exact truth: anatomy, tissues, and MR and CT images of them."""
