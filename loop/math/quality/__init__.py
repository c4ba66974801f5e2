"""How far labels can be trusted: agreement, errors, inspection, and what labeling costs."""
