"""The notebook: its file, kernelspec and parameters, and the verdict on its run."""
