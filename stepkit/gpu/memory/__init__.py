"""Who hands out the GPU's memory: the settings of RMM's guard, its log, and the retry after OOM."""
