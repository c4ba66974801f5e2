"""Are labels that are wrong found? Planted errors in three data sets, beside cleanlab's ObjectLab."""
