"""The commands: each parses its options, checks them, composes the parts and starts them."""
