"""Make the weights again from the manifest, and the labelled completions they are trained on."""
