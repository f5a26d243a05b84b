"""What carries runs on: it applies the rules, stores, and sees to the effects."""
