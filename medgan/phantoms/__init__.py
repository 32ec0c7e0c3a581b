"""Head phantoms with exact truth: anatomy, tissues, and MR and CT images of them."""
