"""What runs inside a kernel that executes steps."""
