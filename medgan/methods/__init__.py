"""What is optimised: one readable page each."""
