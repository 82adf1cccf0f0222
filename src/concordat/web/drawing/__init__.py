"""Pictures as SVG, drawn in Python: values in, markup out; every text in them is escaped."""
