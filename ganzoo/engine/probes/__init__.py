"""What networks are asked before they are trained or captured."""
